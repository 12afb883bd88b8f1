"""What cannot fit is refused before anything is done; what could is not."""

import dataclasses
import re
from pathlib import Path

import pytest

from rembrandt_featgen import stages
from rembrandt_featgen.core import cli, memory
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.segmentation import unet
from rembrandt_featgen.stages import crossvalidate, limits, pipeline

GIB = 2**30


def config(*flags, binary=pipeline):
    return cli.parse(binary.Config, ["--run_dir=x", *flags], stages.all_flags)


def test_stages_find_the_disk_as_those_before_left_it():
    needs = [limits.Need("prepare_slices", disk=3), limits.Need("train_unet", disk=1, work=4), limits.Need("export")]
    limits.check_room(needs, limits.Room(0, 8, Path("/d")))
    with pytest.raises(InputError) as caught:
        limits.check_room(needs, limits.Room(0, 7, Path("/d")))
    assert re.fullmatch(
        r"train_unet needs 0 KiB of disk, after 0 KiB of those before it, and 0 KiB are free in /d; take a smaller "
        r"--unet_width, or a --run_dir where there is room",
        str(caught.value),
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


@pytest.mark.parametrize("flagfile", ["demo", "paper", "recommended", "reproduce_tiny", "tcga_lgg", "pretrain_brats"])
def test_no_flagfile_is_refused_where_64_gib_of_memory_are(flagfile, monkeypatch):
    own = config(f"--flagfile=flags/{flagfile}.flags")
    there = limits.Room(64 * GIB, 1000 * GIB, Path("/d"))
    monkeypatch.setattr(limits, "room", lambda run_dir: there)
    limits.check(own, pipeline.stages_of(own))
