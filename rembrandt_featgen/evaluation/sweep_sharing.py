"""What the points of a sweep share with their base run, by links or copies, and what each learns itself."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from rembrandt_featgen.core import cli, folders, json_files, registry, rundir
from rembrandt_featgen.core.errors import BusyError, InputError, SettingsError
from rembrandt_featgen.evaluation.sweep_points import Point
from rembrandt_featgen.evaluation.sweep_results import CLASSIFIER
from rembrandt_featgen.generation.gan_kinds import KINDS

# Stages that a point may learn itself, in order.
LEARNT = ("train_unet", "extract_features", "train_generators", "generate_synthetic", "train_classifiers")
# Of the inputs of each, those before it that a point may have learnt itself.
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
_COPY = "copy_of.txt"  # in a folder that is shared and no link


@dataclasses.dataclass(frozen=True)
class Base:
    """The run that points differ from.

    Attributes:
      run_dir: its folder.
      kind: of its generator.
      records: stage.json of each of its stages, by name.
      modules: of the stages that a point may learn itself, by name.
      where: flags of where networks run, which are no settings and in no record.
    """

    run_dir: Path
    kind: str
    records: dict[str, dict]
    modules: Mapping[str, Any]
    where: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def config(self, name: str, **changes):
        """Its config of a stage, but for `changes`; those that the stage does not have are left out."""
        given = {**self.records[name]["config"], **self.where, **changes}
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
        known = [field.name for field in dataclasses.fields(self.modules[name].Config)]
        return self.modules[name].Config(**{key: given[key] for key in known if key in given})

    def folder(self, name: str) -> str:
        """Name of the folder of one of its stages."""
        return registry.folder(name, self.kind)

    def of(self, point: Point) -> Base:
        """What the point can share: of another kind of generator, what the run has of that (by --generators)."""
        (kind,) = point.changes.get("generators", (self.kind,))
        records = dict(self.records)
        for name in ("train_generators", "generate_synthetic"):
            with contextlib.suppress(InputError):  # none, or of other features: the point learns it itself
                records[name] = rundir.find(self.run_dir, name, kind).record
        return dataclasses.replace(self, kind=kind, records=records)


def _home(base: Base, point: Point) -> Path:
    return base.run_dir / registry.SWEEP_POINTS / point.name


def stages_to_learn(base: Base, point: Point) -> list[str]:
    """What a point learns itself and does not share with the base run, in order."""
    shared = base.of(point)
    unshared: list[str] = []
    sources = _SOURCES_OF_IMAGES if KINDS[shared.kind].of_images else _SOURCES
    for name in _modules_of(point):
        config = base.config(name, **_changes(point))
        if set(unshared).intersection(sources[name]) or not _holds(shared.records[name]["config"], config, point):
            unshared.append(name)
    return unshared


def _modules_of(point: Point) -> list[str]:
    return list(LEARNT) if point.arms else ["train_unet"]


def _changes(point: Point) -> dict:
    """Flags that differ from the base run's; the report's other classifiers and arms are that run's alone."""
    return {**point.changes, "classifier_arms": point.arms, "classifier_kinds": (CLASSIFIER,)}


def learn(base: Base, point: Point) -> str:
    """Links what a point shares with the base run and learns the rest; returns why it came no farther, or ""."""
    home, unshared, shared = _home(base, point), stages_to_learn(base, point), base.of(point)
    folders.make_folder(home, "--run_dir")
    _link(shared, home, "prepare_slices")
    modules = _modules_of(point)
    for number, name in enumerate(modules):
        if name not in unshared:
            _link(shared, home, name)
            continue
        folder = home / shared.folder(name)
        if folder.is_symlink() or (folder / _COPY).is_file():
            _remove(folder)
        try:
            base.modules[name].run(base.config(name, run_dir=str(home), **_changes(point)))
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
    wanted = json_files.plain(cli.settings(config))  # as stage.json has them: not the device
    several = [name for name in ("classifier_arms", "classifier_kinds") if name in wanted]
    free = {"run_dir", *several}
    if several and point.arms == ("baseline",):  # to which nothing is added
        free |= {"synthetic_added", "synthetic_to"}
    return all(set(wanted[name]) <= set(base.get(name, ())) for name in several) and all(
        base.get(name) == value for name, value in wanted.items() if name not in free
    )


def _link(base: Base, home: Path, name: str) -> None:
    """Makes a stage's folder of the point one with the base run's; a copy of it where links cannot be made or read."""
    folder, source = home / base.folder(name), base.run_dir / base.folder(name)
    target = os.path.relpath(source, home)
    with contextlib.suppress(OSError):
        if folder.is_symlink() and str(folder.readlink()) == target and (folder / rundir.RECORD).is_file():
            return
    if (folder / _COPY).is_file() and (folder / rundir.RECORD).read_bytes() == (source / rundir.RECORD).read_bytes():
        return
    _remove(folder)
    try:
        folder.symlink_to(target)
        (folder / rundir.RECORD).stat()  # sshfs makes links with .. that it does not follow
    except OSError as error:
        logging.warning("%s: %s, so that it is a copy of %s", folder, error.strerror, source)
        _remove(folder)
        part = home / f".{folder.name}.copy"  # renamed when it is whole
        _remove(part)
        shutil.copytree(source, part)
        (part / _COPY).write_text(f"{target}\n", encoding="utf-8")
        part.rename(folder)


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.is_dir():
        shutil.rmtree(folder)


def finished_stages(base: Base, point: Point) -> dict[str, rundir.Found]:
    """Each finished stage of a point, by name."""
    home, kind = _home(base, point), base.of(point).kind
    names = [name for name in base.records if rundir.is_done(home, name, kind)]
    return {name: rundir.find(home, name, kind) for name in names}
