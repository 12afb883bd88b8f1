"""A tiny study with its self-checks, through the binary: what the report holds, and that the study cannot be fooled."""

import csv
import dataclasses
import json
import logging
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rembrandt_featgen.cohort import layouts, split_files
from rembrandt_featgen.core import cli
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import self_checks
from rembrandt_featgen.stages import selfcheck

ROOT = Path(__file__).parent.parent.parent
FLAGS = """
--cohort=phantom
--phantom_counts=LGG:7,HGG:9
--phantom_size=48
--phantom_slices=3
--phantom_difficulty=0
--image_size=48
--validation_fraction=0.25
--unet_width=2
--unet_epochs=2
--unet_batch=8
--ndf=4
--ngf=4
--gan_epochs=2
--gan_batch=8
--synthetic_per_class=20
--generate_tries=200
--generators=acgan,cgan
--arms=none,class_weights,smote,image_augmentation,acgan,cgan
--arm_amounts=0,1
--classifiers=cnn,ridge
--vectors=numbers
--classifier_filters=4
--classifier_units=8
--classifier_epochs=4
--classifier_learning_rate=1e-3
--bootstrap_draws=300
--cv_folds=2
--cv_seeds=1
--cv_workers=2
--trainings=1
"""
OF_VECTORS = ("none", "class_weights", "smote")
ARMS = ("none", "class_weights", "smote", "image_augmentation", "acgan", "cgan")


def arguments(folder):
    return [
        f"--run_dir={folder / 'run'}",
        f"--flagfile={folder / 'tiny.flags'}",
        "--checks=random_labels,planted_leak",
    ]


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """Folder of a run of the binary."""
    folder = tmp_path_factory.mktemp("selfcheck")
    (folder / "tiny.flags").write_text(FLAGS)
    command = [sys.executable, "-m", "rembrandt_featgen.stages.selfcheck", *arguments(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def finding(checked, name):
    found = json.loads((checked / "run" / "selfcheck" / "selfcheck.json").read_text())["self_checks"]
    return next(entry for entry in found if entry["check"] == name)


@pytest.fixture(scope="module")
def report(checked):
    return json.loads((checked / "run/selfcheck/random_labels/report/report.json").read_text())


def test_random_labels_are_judged_by_the_report_of_their_study(checked, report):
    """tests/evaluation/test_self_checks.py has a leak that makes the check fail."""
    found = finding(checked, "random_labels")
    assert found == json.loads(json.dumps(dataclasses.asdict(self_checks.random_labels(report))))
    row = next(row for row in report["arms"] if row["unit"] == "patient")
    assert f"AUROC per patient of {row['arm']} {row['auroc']:.2f}" in found["finding"]


def test_random_labels_are_other_labels_in_the_same_numbers(checked):
    run = checked / "run"
    truth = {patient.id: patient.label for patient in layouts.find_cohort(run / "phantom" / "cohort").patients}
    shuffled = {p.id: p.label for p in layouts.find_cohort(run / "selfcheck" / "random_labels" / "cohort.csv").patients}
    assert Counter(shuffled.values()) == Counter(truth.values())
    assert shuffled != truth


def test_planted_leak_is_caught_and_named(checked):
    found = finding(checked, "planted_leak")
    assert found["passed"], found["finding"]
    assert found["finding"].count("caught") == 5
    assert "NOT" not in found["finding"]


def test_report_holds_every_arm_by_patient_and_by_slice(report):
    of_classifiers = {"cnn": ARMS, "ridge": OF_VECTORS}
    assert {(row["classifier"], row["arm"], row["unit"]) for row in report["arms"]} == {
        (name, arm, unit) for name, arms in of_classifiers.items() for arm in arms for unit in ("patient", "slice")
    }
    assert {row["kind"] for row in report["arms"]} == {"none", "classical", "generative"}
    for name, arms in of_classifiers.items():
        compared = [row for row in report["arms"] if row["classifier"] == name and "difference" in row]
        assert {row["arm"] for row in compared} == set(arms) - {report["reference"]["by_classifier"][name]}
    for row in report["arms"]:
        of_patients = row["unit"] == "patient" or row["classifier"] == "ridge"
        assert row["n"] == ({"HGG": 9, "LGG": 7} if of_patients else {"HGG": 27, "LGG": 21})
        assert {"balanced_accuracy", "mcc", "auroc", "auprc", "brier", "ece"} <= set(row["ci95"])
    generators = {row["arm"]: row for row in report["generators"]}
    # so small an ACGAN may fail a class, but nothing filters a conditional GAN's features
    assert {"image_augmentation", "cgan"} <= set(generators) <= {"image_augmentation", "acgan", "cgan"}
    for row in generators.values():
        assert {"class_accuracy_independent", "coverage", "memorisation"} <= set(row)
        assert ("acceptance" in row) == ("class_accuracy_own" in row) == (row["arm"] == "acgan")
    adding = {"cnn": {"smote", "image_augmentation", "acgan", "cgan"}, "ridge": {"smote"}}
    assert {point["arm"] for point in report["amount_curve"]} == adding[report["reference"]["classifier"]]
    assert report["settings"]["generators"] == ["acgan", "cgan"]
    assert {"acgan", "cgan"} <= set(report["stages"])


def test_each_patient_is_tested_once_by_a_fold_that_never_saw_it(checked):
    study = checked / "run/selfcheck/random_labels"
    with (study / "report" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = ("classifier", "arm", "patient", "sample")
    assert set(Counter(tuple(row[key] for key in keys) for row in rows).values()) == {1}
    assert len(rows) == 16 * 3 * len(ARMS) + 16 * len(OF_VECTORS)
    folds = [split_files.read_split(path) for path in sorted((study / "folds").glob("repeat*.json"))]
    tested = [{name for name, split in fold.items() if split == "test"} for fold in folds]
    assert len(folds) == 2
    assert not tested[0] & tested[1]
    assert len(tested[0] | tested[1]) == 16


def test_generators_of_a_fold_are_measured_in_tensorboard(checked):
    fold = checked / "run/selfcheck/random_labels/fold_runs/repeat0_seed0_fold0"
    tags = EventAccumulator(str(fold / "tensorboard" / "study")).Reload().Tags()["tensors"]
    assert {"arms/cnn_none/auroc", "generators/cgan_maps/frechet_distance"} <= set(tags)


def test_a_second_run_skips_what_is_done(checked, caplog):
    fold = checked / "run/selfcheck/random_labels/fold_runs/repeat0_seed0_fold0"
    stages = {path.parent.name for path in fold.glob("*/stage.json")}
    assert {"slices", "unet", "features", "vectors", "study"} < stages

    def skips():
        return Counter(re.findall(r"^(\w+): done before, skipped", (fold / "log.txt").read_text(), re.MULTILINE))

    assert not skips()
    with caplog.at_level(logging.INFO, logger="absl"):
        selfcheck.run(cli.parse(selfcheck.Config, arguments(checked)))
    assert skips() == Counter(stages)  # once, though both checks need the study
    assert "report: done before, skipped" in caplog.text


def test_other_folds_are_refused_in_the_same_run(checked):
    config = cli.parse(selfcheck.Config, [*arguments(checked), "--cv_folds=3"])
    with pytest.raises(InputError, match=re.escape("--cv_folds=2 (now 3)")):
        selfcheck.run(config)


def test_too_few_simulated_studies_are_said_before_they_are_made(tmp_path, caplog, monkeypatch):
    def stop(*given):
        raise InterruptedError

    monkeypatch.setattr(selfcheck.generator_checks, "measure", stop)
    for studies, said in ((199, "--simulated_studies=199 are too few for planted_generators to say"), (200, "")):
        caplog.clear()
        flags = [f"--run_dir={tmp_path}", "--checks=planted_generators", f"--simulated_studies={studies}"]
        with pytest.raises(InterruptedError), caplog.at_level(logging.WARNING, logger="absl"):
            selfcheck.run(cli.parse(selfcheck.Config, flags))
        assert said in caplog.text and bool(said) == ("too few" in caplog.text)
