"""What cannot fit is refused before anything is done; what could is not."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen import stages
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, memory, registry
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.estimates import limits
from rembrandt_featgen.evaluation import predictions
from rembrandt_featgen.features import tables
from rembrandt_featgen.segmentation import unet
from rembrandt_featgen.stages import crossvalidate, fewshot, pipeline

GIB = 2**30


def config(*flags, binary=pipeline):
    return cli.parse(binary.Config, ["--run_dir=x", *flags], stages.all_flags)


def test_stages_find_the_disk_as_those_before_left_it():
    sizes = [limits.Need("prepare_slices", disk=3 * GIB), limits.Need("train_unet", disk=GIB, work=4 * GIB)]
    needs = [*sizes, limits.Need("export")]
    limits.check_room(needs, limits.Room(0, 8 * GIB, Path("/d")))
    with pytest.raises(InputError) as caught:
        limits.check_room(needs, limits.Room(0, 7 * GIB, Path("/d")))
    assert str(caught.value) == (
        "train_unet needs 5.0 GiB of disk, after 3.0 GiB of those before it, and 7.0 GiB are free in /d; take a "
        "smaller --unet_width, or a --run_dir where there is room"
    )


def test_memory_names_the_stage_what_it_needs_what_there_is_and_the_flag(monkeypatch):
    need = [limits.Need("train_unet", memory=6 * GIB)]
    limits.check_room(need, limits.Room(6 * GIB, 1, Path("/d")))
    limits.check_room(need, limits.Room(0, 1, Path("/d")))  # nobody says what there is
    message = (
        r"^train_unet needs 6\.0 GiB of memory, and 5\.0 GiB are available here; take a smaller --unet_batch, "
        r"--unet_width or --image_size$"
    )
    with pytest.raises(InputError, match=message):
        limits.check_room(need, limits.Room(5 * GIB, 1, Path("/d")))
    monkeypatch.setattr(memory._watch, "limit", 5 * GIB)
    with pytest.raises(InputError, match=r", and --memory_limit leaves 5\.0 GiB; .*, or give a larger --memory_limit$"):
        limits.check_room(need, limits.Room(5 * GIB, 1, Path("/d")))


def test_room_is_that_of_the_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    there = limits.room(str(tmp_path / "a" / "b"))
    assert there.where == tmp_path and there.disk > 0 and there.memory > 2**20


def test_shapes_of_maps_and_weights_are_those_of_the_network():
    network = unet.build_unet(1, 2)
    for tap in unet.TAPS:
        own = config(f"--tap={tap}", "--image_size=64", "--unet_width=2")
        shape = unet.tap_model(network, tap).compute_output_shape((1, 64, 64, 1))
        assert limits.map_shape(own) == tuple(shape[1:])
    assert 0.7 * network.count_params() < limits._unet_weights(own) <= network.count_params()


def test_what_networks_keep_is_counted_by_their_precision_and_not_on_gpus(monkeypatch):
    def memory_of(*flags):
        own = config("--unet_batch=64", "--unet_width=1", "--image_size=64", *flags)
        return [limits.least(name, own)["memory"] for name in ("train_unet", "train_generators")]

    whole = memory_of()
    # maps of two convolutions each of 64, 32, 16, 8 and 4 pixels on the way down, and four on the way up
    maps = 64 * 2 * (2 * (64**2 + 2 * 32**2 + 4 * 16**2 + 8 * 8**2) + 16 * 4**2)
    weights = 4 * 4 * limits._unet_weights(config("--unet_width=1"))
    assert whole[0] == 4 * maps + weights
    for precision in ("bfloat16", "float16"):
        assert memory_of(f"--precision={precision}") == [2 * maps + weights, whole[1] // 2]
    assert memory_of("--device=cpu", "--strategy=mirrored") == whole  # replicas on one host share a batch
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind])
    for device in ("auto", "gpu", "gpu:0"):
        assert memory_of(f"--device={device}") == [0, 0]
    assert memory_of("--device=cpu") == whole
    huge = config("--unet_batch=1000000")
    limits.check(huge, ["train_unet"])
    with pytest.raises(InputError, match="^train_unet needs "):
        limits.check(dataclasses.replace(huge, device="cpu"), ["train_unet"])


def test_a_study_of_maps_has_all_of_them_in_memory_twice(monkeypatch):
    monkeypatch.setattr(limits, "room", lambda run_dir: limits.Room(8 * GIB, 1, Path("/d")))
    limits.check_maps("x", [16, 16, 1024], 4096)  # a MiB each
    with pytest.raises(
        InputError,
        match=r"^evaluate_features needs 9\.0 GiB of memory, .*; take only --classifiers of vectors",
    ):
        limits.check_maps("x", [16, 16, 1024], 4608)


def test_rows_of_predictions_are_no_larger_than_counted(tmp_path, monkeypatch):
    def needs(rows):
        seen = []
        monkeypatch.setattr(limits, "check_room", lambda needs, there: seen.extend(needs))
        limits.check_few_shots(fewshot.Config(run_dir="x"), features, rows, trains=False)
        return seen[0]

    classes = Classes(("a", "b"), "b")
    features = tables.table_of_arrays(np.eye(2), np.arange(2), classes=classes, patients=np.array(["p", "q"]))
    samples = predictions.Samples(features.patients, features.samples, features.labels)
    table = predictions.rows(samples, np.eye(2), classes=classes, arm="none", kind="none", classifier="mlp")
    least = sum(getattr(table, name).nbytes for name in predictions.COLUMNS)
    assert 0.95 * 2 * least < needs(2).memory <= 2 * least
    predictions.write(tmp_path / "p.csv", table)
    head, *lines = (tmp_path / "p.csv").read_text().splitlines(keepends=True)
    assert needs(2).disk <= 2.5 * len("".join(lines)) and needs(2).work == needs(2).disk


def test_a_gan_of_few_patients_is_counted_as_that_of_a_run():
    of_run = config("--tap=conv2", "--image_size=32", "--unet_width=2", "--gan_batch=8", "--ngf=4", "--ndf=4")
    assert limits.least("train_generators", of_run)["memory"] == 4 * 8 * 16 * 16 * (2 * 4 + 4 + 4)


def test_what_no_machine_has_is_refused_at_once_by_a_run_and_a_study(tmp_path):
    for binary in (pipeline, crossvalidate):
        huge = config("--unet_batch=1000000", "--cohort=phantom", binary=binary)
        with pytest.raises(InputError, match=r"^train_unet needs \d+\.\d GiB of memory, and "):
            binary.run(dataclasses.replace(huge, run_dir=str(tmp_path / "r")))
    many = config("--phantom_counts=LGG:900,HGG:900", "--phantom_slices=4000", "--image_size=240", "--phantom_size=240")
    with pytest.raises(
        InputError, match=r"^prepare_slices needs \d+\.\d GiB of disk, and .* take a smaller --image_size"
    ):
        pipeline.run(dataclasses.replace(many, run_dir=str(tmp_path / "r")))
    assert not (tmp_path / "r").exists()


def test_what_is_finished_has_its_room(tmp_path, monkeypatch):
    """As on a disk of a finished run, read-only or full: it is to be found finished."""
    monkeypatch.setattr(limits, "room", lambda run_dir: limits.Room(1, 0, tmp_path))
    for binary, names, finished in (
        (pipeline, ["train_unet", "train_generators"], ["unet", registry.folder("train_generators", "acgan")]),
        (crossvalidate, ["train_unet"], ["report"]),
    ):
        run_dir = tmp_path / binary.__name__
        own = dataclasses.replace(config("--generators=acgan", binary=binary), run_dir=str(run_dir))
        for folder in finished:
            with pytest.raises(InputError):
                limits.check(own, names)
            (run_dir / folder).mkdir(parents=True)
            (run_dir / folder / "stage.json").write_text("{}")
        limits.check(own, names)


@pytest.mark.parametrize("flagfile", ["demo", "paper", "recommended", "reproduce_tiny", "tcga_lgg", "pretrain_brats"])
def test_no_flagfile_is_refused_where_64_gib_of_memory_are(flagfile, monkeypatch):
    own = config(f"--flagfile=flags/{flagfile}.flags")
    there = limits.Room(64 * GIB, 1000 * GIB, Path("/d"))
    monkeypatch.setattr(limits, "room", lambda run_dir: there)
    limits.check(own, pipeline.stages_of(own))


def test_a_stage_of_several_generators_has_its_room_once_all_are_done(tmp_path, monkeypatch):
    monkeypatch.setattr(limits.devices, "chosen_gpus", lambda device: [])
    both = config("--gan_batch=100000000", "--generators=acgan,cgan")
    both = dataclasses.replace(both, run_dir=str(tmp_path))
    done = {"acgan"}
    monkeypatch.setattr(limits.rundir, "is_done", lambda run_dir, name, kind="": kind in done)
    with pytest.raises(InputError, match="^train_generators needs "):
        limits.check(both, ["train_generators"])
    done.add("cgan")
    limits.check(both, ["train_generators"])
