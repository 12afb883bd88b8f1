"""From a trial to the whole run: what is counted of time and disk, by hand."""

from pathlib import Path

import numpy as np
import pytest

from rembrandt_featgen import stages
from rembrandt_featgen.core import cli
from rembrandt_featgen.estimates import extrapolation, step_counts
from rembrandt_featgen.estimates.step_clocks import Clock
from rembrandt_featgen.estimates.trial_runs import Measured, Trial
from rembrandt_featgen.stages import pipeline


def clock(first, *others):
    """A clock whose items took some seconds, each twice as much of the process."""
    found = Clock()
    for seconds in (first, *others):
        found.add(np.array([seconds, 2.0 * seconds]))
    return found


def config(*flags):
    return cli.parse(pipeline.Config, ["--run_dir=x", *flags], stages.all_flags)


def whole(*flags, train=(40, 60), validation=(10, 10), test=(5, 15), slices=5):
    patients = {"train": train, "validation": validation, "test": test}
    patients = {split: dict(zip(("LGG", "HGG"), both)) for split, both in patients.items()}
    of_slices = {split: {name: slices * n for name, n in own.items()} for split, own in patients.items()}
    return extrapolation.Whole(config(*flags), patients, of_slices)


def test_features_of_all_splits_count_as_those_of_training_slices():
    run, small = whole("--tap=conv4"), whole(train=(4, 4), validation=(1, 1), test=(1, 1))
    clocks = {
        "conv4 of train": clock(3.0, *[0.5] * 39),
        "conv4 of validation": clock(1.0, *[0.0] * 9),  # one batch, for which the first slice waits
        "conv4 of test": clock(1.0, *[0.0] * 9),
    }
    found = Measured(np.array([30.0, 60.0]), clocks)
    items = extrapolation.items("extract_features", run, small=small, found=found)
    assert items == {"conv4 of train": 5 * 140 - 20}
    assert extrapolation.seconds(found, items)[0] == 30.0 - 22.5 + 3.0 + 679 * 0.5


def trial(small, **measured):
    return Trial(Path(), small.config, small.patients, small.slices, measured)


def test_what_no_clock_saw_is_once_and_steps_are_as_many_as_wanted():
    found = Measured(np.array([20.0, 40.0]), {"slices": clock(4.0, 1.0, 2.0), "other": clock(3.0)})
    # 20 - (4 + 1 + 2) once; then 4, and 99 of 1.5
    assert extrapolation.seconds(found, {"slices": 100}).tolist() == pytest.approx([13 + 4 + 99 * 1.5, 2 * 165.5])
    assert extrapolation.seconds(found, {"slices": 0}).tolist() == [13.0, 26.0]
    assert extrapolation.seconds(found, {"not there": 9}).tolist() == [20.0, 40.0]


def test_a_unet_has_its_steps_epochs_validation_and_cross_fitting():
    flags = ("--unet_batch=10", "--unet_epochs=4", "--unet_half_size=0.5")
    run, small = whole(*flags), whole(*flags, train=(2, 2), validation=(1, 1), test=(1, 1))
    clocks = {"train_unet": clock(9.0, 1.0), "evaluate": clock(3.0, 1.0), "train_unet epoch ends": clock(5.0, 4.0)}
    found = Measured(np.array([30.0, 60.0]), clocks)
    items = extrapolation.items("train_unet", run, small=small, found=found)
    # 500 slices are 50 steps; two of four epochs are at a quarter. Evaluated are 50 + 10 + 10 batches.
    assert items["train_unet"] == 2 * 50 + 2 * 50 / 4 and items["evaluate"] == 70
    # one of four seconds at an epoch's end is the one batch that validates, of which there are ten
    assert items["train_unet epoch ends"] == pytest.approx(4 * (3 / 4 + 10 / 4))
    run = whole(*flags, "--cross_fit=3")
    assert extrapolation.items("train_unet", run, small=small, found=found)["train_unet"] == 3 * 125


def test_generators_and_classifiers_are_counted_for_each_kind_and_arm():
    flags = ("--generators=acgan,cgan", "--gan_batch=10", "--gan_epochs=3", "--synthetic_per_class=64")
    run = whole(*flags, "--classifier_epochs=2", "--classifier_batch=10", "--synthetic_added=100")
    found = Measured(np.zeros(2), {})
    gans = extrapolation.items("train_generators", run, small=run, found=found)
    assert gans["train_generators"] == 2 * 3 * 50 and gans["train_generators validation"] == 2 * 3 * 10
    drawn = extrapolation.items("generate_synthetic", run, small=run, found=found)
    assert drawn == {"generate_synthetic": 2 * 2 * 2}  # 64 / 0.8 of each of two classes, in batches of 64
    of_cnn = extrapolation.items("train_classifiers", run, small=run, found=found)
    assert of_cnn["cnn"] == of_cnn["linear"] == 2 * (50 + 60) and of_cnn["cnn epoch ends"] == 4


def test_disk_grows_with_samples_where_files_do():
    run, small = (
        whole("--synthetic_per_class=300"),
        whole("--synthetic_per_class=30", train=(4, 4), validation=(1, 1), test=(1, 1)),
    )
    names = ("make_phantom", "prepare_slices", "extract_features", "generate_synthetic", "export")
    found = trial(small, **{name: Measured(np.ones(2), {}, memory=7, disk=1000, work=10) for name in names})
    rows = {name: extrapolation.row(name, found, run) for name in names}
    grown = round(1000 * 140 / 12)
    assert [rows[name].disk for name in names] == [grown, grown, grown, 10000, 1000]
    assert rows["prepare_slices"].work == round(10 * 140 / 12) and rows["export"].memory == 7
    assert rows["prepare_slices"].samples == "140 patients, 700 slices"


def test_vectors_and_predictions_are_added_to_what_is_there_without_them():
    run, small = whole("--vector_augmentations=2"), whole(train=(4, 4), validation=(1, 1), test=(1, 1))
    found = trial(small, extract_vectors=Measured(np.ones(2), {}, disk=5000))
    found.figures["extract_vectors"] = {"columns": 20}
    assert extrapolation.row("extract_vectors", found, run).disk == 5000 + (140 - 12 + 2 * 100) * 20 * 4
    found = trial(small, train_classifiers=Measured(np.ones(2), {}, disk=5000))
    assert extrapolation.row("train_classifiers", found, run).disk == 5000 + (100 - 10) * 2 * 2 * 140


@pytest.mark.parametrize(("receiver", "added"), [("all", 600), ("minority", 100), ("HGG", 300)])
def test_what_the_augmented_arm_adds(receiver, added):
    flags = config("--synthetic_added=0", "--synthetic_per_class=300", f"--synthetic_to={receiver}")
    assert step_counts.added(flags, {"LGG": 200, "HGG": 300}) == added
