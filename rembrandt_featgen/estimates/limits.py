"""What a run may take: the disk that is free where it writes, the memory that is available; and what cannot fit.

`check` is done before every run and costs nothing: it counts what cannot be less, such as the weights of a network and
the maps that a step keeps, so that what it refuses could never have worked. What it lets pass may still be too much,
which `--estimate_only` measures.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.cohort.classes import parse_counts
from rembrandt_featgen.core import memory, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features import crops
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.nn import devices

_FLOAT = 4  # bytes
_ADAM = 4  # arrays for each weight: itself, its gradient, two moments
_LEVELS = 5
_NUMBERS_OF_ROW = 14  # of 8 bytes, in a row of predictions in memory; rows are there twice when they become one table
_LEAST_OF_ROW = 80  # bytes as a file, which is there twice until the study is done


class Need(NamedTuple):
    """What a stage takes: bytes; `work` of disk only while it is at work. `less`: how it takes less memory."""

    name: str
    memory: int = 0
    disk: int = 0
    work: int = 0
    less: str = ""


class Room(NamedTuple):
    """What there is: bytes; 0 where nobody says. `where` is the folder whose disk it is."""

    memory: int
    disk: int
    where: Path


def room(run_dir: str) -> Room:
    """What there is for a run in `run_dir`, with the memory that this process has taken already."""
    where = Path(run_dir).absolute()
    while not where.is_dir():
        where = where.parent
    free = memory.available()
    taken = sum(memory.of_tree().values()) if free else 0
    return Room(free + taken, shutil.disk_usage(where).free, where)


def check_room(needs: Iterable[Need], there: Room) -> None:
    """InputError for the first stage that does not fit; each finds the disk as those before it left it."""
    disk = 0
    for need in needs:
        disk += need.disk
        if 0 < there.memory < need.memory:
            free = memory.shown(there.memory)
            left = f"--memory_limit leaves {free}" if memory.limit() else f"{free} are available here"
            less = need.less or registry.LESS_MEMORY.get(need.name, registry.LESS_ANYWHERE)
            raise InputError(
                f"{need.name} needs {memory.shown(need.memory)} of memory, and {left}; take "
                f"{less}" + (", or give a larger --memory_limit" if memory.limit() else "")
            )
        if disk + need.work > there.disk:
            less = registry.LESS_DISK.get(need.name, "a smaller cohort or --image_size")
            before = f", after {memory.shown(disk - need.disk)} of those before it" if disk > need.disk else ""
            wanted, free = memory.shown(need.disk + need.work), memory.shown(there.disk)
            raise InputError(
                f"{need.name} needs {wanted} of disk{before}, and {free} are free in {there.where}; take {less}, or a "
                "--run_dir where there is room"
            )


def check(config, names: Sequence[str]) -> None:
    """InputError for a run that cannot fit, whatever is measured; what is finished has its room already.

    Args:
      config: of the pipeline or of a study.
      names: of the stages that it has.
    """
    if rundir.is_done(config.run_dir, "write_study_report"):
        return
    kinds = {name: config.generators if registry.STAGES[name].has_kinds else ("",) for name in names}
    left = [name for name in names if not all(rundir.is_done(config.run_dir, name, kind) for kind in kinds[name])]
    sizes = {name: least(name, config) for name in left}
    needs = [Need(name, memory=own.get("memory", 0), disk=own.get("disk", 0)) for name, own in sizes.items()]
    check_room(needs, room(config.run_dir))


def least(name: str, config) -> dict[str, int]:
    """Bytes of memory and disk that a stage cannot do without; of disk for phantoms alone, whose slices are known.

    The memory is that of this host: what networks keep on GPUs is not, and replicas of --strategy=mirrored, which share
    a batch, are on GPUs. Where there is none they are one.
    """
    count = _slices(config)
    of_map = _FLOAT if config.precision == "float32" else _FLOAT // 2
    on_host = not devices.chosen_gpus(config.device)
    if name == "prepare_slices":
        voxels = config.image_size**2 * (len(config.modalities) * config.slices_in * _FLOAT + 1)
        return {"disk": count * voxels}
    if name == "train_unet":
        weights = _unet_weights(config)
        maps = config.unet_batch * config.image_size**2 * config.unet_width * _maps_of_unet()
        needed = _FLOAT * _ADAM * weights + of_map * math.ceil(maps)
        return {"memory": needed * on_host, "disk": _FLOAT * weights}
    if name == "extract_features" and config.features_from == "store":
        size = 2 if config.store_dtype != "float32" else _FLOAT
        kept = count * math.prod(map_shape(config)) * size
        return {"disk": kept if config.store_codec == "none" else 0}
    if name == "train_generators":
        return {"memory": _of_gan(config, map_shape(config))}
    return {}


def check_maps(run_dir: str, shape: Sequence[int], count: int) -> None:
    """InputError for a study of maps that do not fit into memory, where they all are, twice while its table is made.

    Args:
      run_dir: of the study.
      shape: of a map.
      count: of the maps.
    """
    size = 2 * _FLOAT * math.prod(shape) * count
    less = "only --classifiers of vectors, such as ridge,mlp, or maps of a deeper --tap"
    check_room([Need("evaluate_features", memory=size, less=less)], room(run_dir))


def check_few_shots(config, table: FeatureTable, rows: int, *, trains: bool) -> None:
    """InputError for a study of few patients whose predictions, or GANs, do not fit.

    Args:
      config: of fewshot.
      table: its features.
      rows: of the predictions of all draws.
      trains: whether each draw trains GANs.
    """
    of_row = _NUMBERS_OF_ROW * 8 + 2 * 8 * table.classes.count  # with a threshold and a probability for each class
    needed = max(2 * rows * of_row, _of_gan(config, table.shape) if trains else 0)
    size = rows * _LEAST_OF_ROW
    check_room([Need("fewshot", memory=needed, disk=size, work=size)], room(config.run_dir))


def _of_gan(config, shape: Sequence[int]) -> int:
    """Bytes of this host's memory that a GAN of maps cannot do without."""
    height, width, channels = shape
    of_map = _FLOAT if config.precision == "float32" else _FLOAT // 2
    kept = config.gan_batch * height * width * (2 * channels + config.ngf + config.ndf)
    return 0 if devices.chosen_gpus(config.device) else of_map * kept


def map_shape(config) -> tuple[int, int, int]:
    """[h, w, c] of a feature at --tap."""
    if config.tap == crops.TAP:
        side = config.crop_size // 2**crops.HALVINGS
        return side, side, config.crop_filters
    level = int(config.tap[-1]) - 1
    side = config.image_size // 2**level
    return side, side, config.unet_width * 2**level


def _slices(config) -> int:
    """Slices of the whole cohort, where they are phantoms; else 0: nothing has been read."""
    if config.cohort != phantom.COHORT:
        return 0
    fresh = parse_counts(config.phantom_test_counts, "--phantom_test_counts")
    counts = parse_counts(config.phantom_counts, "--phantom_counts")
    return (sum(counts.values()) + sum(fresh.values())) * config.phantom_slices


def _maps_of_unet() -> float:
    """Outputs of two convolutions of each block that a step keeps for gradients, in full-size maps of the width."""
    down = [2 / 2**level for level in range(_LEVELS)]
    return math.fsum([*down, *down[:-1]])


def _unet_weights(config) -> int:
    """Of the 3x3 convolutions."""
    widths = [config.unet_width * 2**level for level in range(_LEVELS)]
    down = sum(9 * width * (max(width // 2, 1) + width) for width in widths)
    up = sum(9 * width * (2 * width + width) for width in widths[:-1])
    return down + up
