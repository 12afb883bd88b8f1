"""Varies one thing at a time of a finished run, and compares.

The axes: start of the U-Net, modes of the origin, source of features, kind of GAN, filters, and added features.

Each point is a run of its own in RUN/sweep_points/<axis>=<value>, with the settings of the base run but for the one.
What it shares with the base run is linked to, not done again; what is its own is skipped, resumed or done again like
all stages. Every axis holds the base run's own value. Nothing is done without one of the --sweep_ flags.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.layouts import GRADES
from rembrandt_featgen.core import cli, registry, rundir
from rembrandt_featgen.core.errors import BusyError, InputError, SettingsError
from rembrandt_featgen.evaluation import sweep_points
from rembrandt_featgen.evaluation.sweep_points import Point
from rembrandt_featgen.features import crops
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.nn import tensorboard
from rembrandt_featgen.reporting import sweep_tables
from rembrandt_featgen.segmentation import unet
from rembrandt_featgen.stages import shared_flags

ALL = "all"
# Who is given synthetic features, to the axis.
_RECEIVERS = {"both": "added", "rarer": "balancing", **{grade: f"added_{grade}" for grade in GRADES}}
# Stages of a point that may be its own, in order.
_LEARNT = ("train_unet", "extract_features", "train_generators", "generate_synthetic", "train_classifiers")
_MODULES = stages.modules(_LEARNT)
# Of the inputs of each, those of before it that a point may have made anew.
_SOURCES = {
    "train_unet": (),
    "extract_features": ("train_unet",),
    "train_generators": ("extract_features",),
    "generate_synthetic": ("train_generators",),
    "train_classifiers": ("extract_features", "generate_synthetic"),
}
_SOURCES_OF_IMAGES = {
    **_SOURCES,
    "train_generators": (),
    "generate_synthetic": ("train_generators", "extract_features"),
}
_TAPS = (*unet.TAPS, crops.TAP)


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    sweep_reference: tuple[str, ...] = cli.flag(
        (),
        f"Modes to compare as 'reference' and as 'correct', each alone: some of {', '.join(sweep_points.ORIGINS)}; "
        "'augmentation' trains the U-Net again.",
    )
    sweep_generators: tuple[str, ...] = cli.flag(
        (), f"Generators to compare: some of {', '.join(KINDS)}. Those of --generators are not trained again."
    )
    sweep_filters: tuple[str, ...] = cli.flag(
        (), "Filters of the GAN (ndf = ngf) to compare.", source="paper 4.2.1: 64, 256, 512"
    )
    sweep_taps: tuple[str, ...] = cli.flag(
        (), f"Sources of features to compare, see --tap: some of {', '.join(_TAPS)}."
    )
    sweep_added: tuple[str, ...] = cli.flag(
        (), f"Numbers of synthetic features that are added, to compare, such as 0,100,500,{ALL}."
    )
    sweep_added_to: tuple[str, ...] = cli.flag(
        ("both", "rarer"),
        f"Who gets those of --sweep_added, see --synthetic_to: some of {', '.join(_RECEIVERS)}, a curve each.",
    )
    sweep_from_scratch: bool = cli.flag(
        False, "Whether the U-Net is also trained from random weights, at equal steps, where there are --unet_weights."
    )


class Base(NamedTuple):
    """The run that points differ from: its folder, the kind of its generator, and the record of each of its stages."""

    run_dir: Path
    kind: str
    records: dict[str, dict]

    def config(self, module, **changes):
        """Its config of a stage, but for `changes`; those that the stage does not have are left out."""
        given = {**self.records[module]["config"], **changes}
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        known = [field.name for field in dataclasses.fields(_MODULES[module].Config)]
        return _MODULES[module].Config(**{name: given[name] for name in known if name in given})

    def folder(self, name: str) -> str:
        """Name of the folder of one of its stages."""
        return registry.folder(name, self.kind)

    def of(self, point: Point) -> Base:
        """What the point can share: of another kind of GAN, what the run has learnt of that (by --generators)."""
        (kind,) = point.changes.get("generators", (self.kind,))
        records = dict(self.records)
        for name in ("train_generators", "generate_synthetic"):
            with contextlib.suppress(InputError):  # it has none, or of other features; then the point learns its own
                records[name] = rundir.find(self.run_dir, name, kind).record
        return self._replace(kind=kind, records=records)


def run(config: Config) -> None:
    """Learns the points and writes run_dir/sweep: sweep.json, sweep.csv, pretraining.csv, and TensorBoard's HParams."""
    axes = (
        config.sweep_reference,
        config.sweep_taps,
        config.sweep_generators,
        config.sweep_filters,
        config.sweep_added,
    )
    check(config)
    if not (any(axes) or config.sweep_from_scratch):
        logging.info("sweep: none asked for; name values by --sweep_filters, --sweep_taps, --sweep_added, ...")
        return
    base = find_base(config.run_dir)
    points = find_points(config, base)
    notes = {}
    for point in tqdm(points, "sweeps", unit="point"):
        logging.info("sweep: %s", point.name)
        notes[point.name] = _learn(base, point)
    found = {point.name: _found(base, point) for point in points}
    stages_found = [entry for entries in found.values() for entry in entries.values()]
    inputs = {str(entry.folder.relative_to(base.run_dir)): entry.digest for entry in stages_found}
    # points are inputs: axes and values may be added without harm
    bare = dataclasses.replace(Config(), run_dir=config.run_dir)
    with rundir.open_stage(
        bare, "run_sweep", digests=inputs, classes=base.records["prepare_slices"].get("classes")
    ) as stage:
        if stage.done:
            return
        learnt = []
        for point in points:
            folders = {name: entry.folder for name, entry in found[point.name].items()}
            records = {name: entry.record for name, entry in found[point.name].items()}
            learnt.append(sweep_points.found(point, records, folders, notes[point.name]))
        settings = base.records["train_classifiers"]["config"]
        sweep_points.compare(learnt, settings["bootstrap_draws"], settings["seed"])
        swept = rundir.plain({"points": learnt, "choice_rule": sweep_points.CHOICE_RULE})
        rundir.write_json(stage.path / "sweep.json", swept)
        names = Classes.of_record(base.records["prepare_slices"]["classes"])
        for name, text in sweep_tables.tables(swept, names).items():
            (stage.path / f"{name}.csv").write_text(text, encoding="utf-8")
        tensorboard.write_trials(stage.logs, sweep_tables.trials(swept, names))
        stage.complete(points=[point.name for point in points], notes=[p["note"] for p in learnt if p["note"]])
        logging.info(
            "sweep: %d points, compared in %s",
            len(points),
            Path(config.run_dir) / registry.folder("run_sweep") / "sweep.csv",
        )


def check(config) -> None:
    """InputError for values that no point can have."""
    cli.some_of("sweep_reference", config.sweep_reference, sweep_points.ORIGINS, at_least=0)
    cli.some_of("sweep_taps", config.sweep_taps, _TAPS, at_least=0)
    cli.some_of("sweep_generators", config.sweep_generators, KINDS, at_least=0)
    _numbers("sweep_filters", config.sweep_filters, 1)
    _numbers("sweep_added", [value for value in config.sweep_added if value != ALL], 0)
    cli.some_of("sweep_added_to", config.sweep_added_to, _RECEIVERS, at_least=1 if config.sweep_added else 0)


def find_base(run_dir: str) -> Base:
    """Finds the stages that points start from; InputError where one is not finished."""
    (kind,) = rundir.find(run_dir, "train_classifiers").record["config"]["generators"]
    found = rundir.find_inputs(run_dir, "run_sweep", kind)
    return Base(Path(run_dir), kind, {name: entry.record for name, entry in found.items()})


def find_points(config: Config, base: Base) -> list[Point]:
    """The points of all axes that are asked for, those of the base run among them."""
    points = []
    if config.sweep_from_scratch:
        weights = base.records["train_unet"]["config"]["unet_weights"]
        if weights:
            changes = {"unet_weights": "", "unet_weights_modalities": ()}
            points += [Point("start", "pre-trained", {}, ()), Point("start", "scratch", changes, (), True)]
        else:
            logging.warning("--sweep_from_scratch: the run has no --unet_weights, so that it is from scratch itself")
    if config.sweep_reference:
        points += sweep_points.origin_points(base.records, config.sweep_reference)
    if config.sweep_taps:
        own = base.records["extract_features"]["figures"]["tap"]
        for tap in _TAPS:
            if tap in {own, *config.sweep_taps}:
                points.append(Point("tap", tap, {"tap": tap}, ("baseline", "augmented"), tap == own))
    if config.sweep_generators:
        own = base.kind
        for kind in KINDS:
            if kind in {own, *config.sweep_generators}:
                points.append(Point("gan", kind, {"generators": (kind,)}, ("augmented",), kind == own))
    if config.sweep_filters:
        settings = base.records["train_generators"]["config"]
        own = (settings["ndf"], settings["ngf"])
        for ndf, ngf in sorted({own, *((n, n) for n in _numbers("sweep_filters", config.sweep_filters, 1))}):
            value = f"{ndf}" if ndf == ngf else f"{ndf},{ngf}"
            changes = {"ndf": ndf, "ngf": ngf}
            points.append(Point("filters", value, changes, ("augmented",), (ndf, ngf) == own))
    if config.sweep_added:
        points += _added(config, base)
    return points


def _added(config: Config, base: Base) -> list[Point]:
    """Points of the axes on which the number of added features varies."""
    asked = set(_numbers("sweep_added", [value for value in config.sweep_added if value != ALL], 0)) - {0}
    slices, settings = (
        base.records["prepare_slices"]["figures"]["split"]["train"]["slices"],
        base.records["train_classifiers"],
    )
    gap = abs(slices[GRADES[0]] - slices[GRADES[1]])
    own, own_receiver = (settings["config"].get(name) for name in ("synthetic_added", "synthetic_to"))
    points = [Point("added", "0", {}, ("baseline",), True)]
    for receiver in config.sweep_added_to:
        numbers = asked | ({own} - {0} if receiver == own_receiver else set())
        to_the_end = ALL in config.sweep_added or (receiver == own_receiver and own == 0)
        if receiver == "rarer":
            logging.info("--sweep_added_to=rarer: %d more features make the grades equal, where its curve ends", gap)
            numbers = {number for number in numbers if number < gap}
        values = [*map(str, sorted(numbers)), *([ALL] if to_the_end and (receiver != "rarer" or gap) else [])]
        for value in values:
            changes = {"synthetic_added": 0 if value == ALL else int(value), "synthetic_to": receiver}
            points.append(Point(_RECEIVERS[receiver], value, changes, ("augmented",)))
    return points


def _numbers(name: str, texts, least: int) -> list[int]:
    try:
        numbers = [int(text) for text in texts]
    except ValueError as error:
        raise InputError(f"--{name}={','.join(texts)}: write whole numbers, such as 64,256,512") from error
    if numbers and min(numbers) < least:
        raise InputError(f"--{name}={','.join(texts)}: each must be from {least} on")
    return numbers


def _home(base: Base, point: Point) -> Path:
    return base.run_dir / registry.SWEEP_POINTS / point.name


def own_stages(base: Base, point: Point) -> list[str]:
    """What a point learns itself and does not share with the base run, in order."""
    shared, own = base.of(point), []
    sources = _SOURCES_OF_IMAGES if KINDS[shared.kind].of_images else _SOURCES
    for name in _modules_of(point):
        config = base.config(name, **_changes(point))
        if set(own).intersection(sources[name]) or not _holds(shared.records[name]["config"], config, point):
            own.append(name)
    return own


def _modules_of(point: Point) -> list[str]:
    return list(_LEARNT) if point.arms else ["train_unet"]


def _changes(point: Point) -> dict:
    """Flags that differ from the base run's; the report's other classifiers and arms are that run's alone."""
    return {**point.changes, "classifier_arms": point.arms, "classifier_kinds": (sweep_points.CLASSIFIER,)}


def _learn(base: Base, point: Point) -> str:
    """Links what a point shares with the base run and learns the rest; returns why it came no farther, or ""."""
    home, own, shared = _home(base, point), own_stages(base, point), base.of(point)
    rundir.make_folder(home, "--run_dir")
    _link(shared, home, "prepare_slices")
    modules = _modules_of(point)
    for number, name in enumerate(modules):
        if name not in own:
            _link(shared, home, name)
            continue
        folder = home / shared.folder(name)
        if folder.is_symlink():
            folder.unlink()
        try:
            _MODULES[name].run(base.config(name, run_dir=str(home), **_changes(point)))
        except SettingsError as error:  # it would be the same for all points
            raise SettingsError(f"{error} (of all points: {base.run_dir / registry.SWEEP_POINTS})") from error
        except BusyError:
            raise
        except (InputError, OSError, tf.errors.ResourceExhaustedError) as error:  # such as a disk that is full
            for later in modules[number:]:  # of other inputs
                _remove(home / shared.folder(later))
            logging.warning("sweep: %s failed: %s", point.name, error)
            return f"{name}: {' '.join(str(error).split())[:300]}"
        tf.keras.backend.clear_session()
    return ""


def _holds(base: Mapping, config, point: Point) -> bool:
    """Whether the base run's stage of that config has what a point's stage would make."""
    wanted = rundir.plain(dataclasses.asdict(config))
    several = [name for name in ("classifier_arms", "classifier_kinds") if name in wanted]
    free = {"run_dir", *several}
    if several and point.arms == ("baseline",):  # to which nothing is added
        free |= {"synthetic_added", "synthetic_to"}
    return all(set(wanted[name]) <= set(base.get(name, ())) for name in several) and all(
        base.get(name) == value for name, value in wanted.items() if name not in free
    )


def _link(base: Base, home: Path, name: str) -> None:
    """Makes a stage's folder of the point one with the base run's."""
    folder = home / base.folder(name)
    target = os.path.relpath(base.run_dir / base.folder(name), home)
    if folder.is_symlink() and str(folder.readlink()) == target:
        return
    _remove(folder)
    folder.symlink_to(target)


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.is_dir():
        shutil.rmtree(folder)


def _found(base: Base, point: Point) -> dict[str, rundir.Found]:
    """Each finished stage of a point, by name."""
    home, kind = _home(base, point), base.of(point).kind
    names = [name for name in base.records if rundir.is_done(home, name, kind)]
    return {name: rundir.find(home, name, kind) for name in names}


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, __doc__, stages.all_flags)


if __name__ == "__main__":
    main()
