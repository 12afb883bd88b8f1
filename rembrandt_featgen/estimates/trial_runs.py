"""A trial of a run: its stages, with its flags and on some of its patients, for a few steps each, watched by clocks.

It is in a temporary folder, so that nothing is written into --run_dir. Only what says how long a run takes is changed:
how many patients there are, epochs, and how many features are drawn; of these all are kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.core import memory, registry, remarks, rundir, temporary_folders
from rembrandt_featgen.estimates import limits, step_clocks
from rembrandt_featgen.estimates.stage_calls import StageCalls
from rembrandt_featgen.generation import adding

EPOCHS = 3  # of each training
PATIENTS = 5  # of each class, at least: one is tested, one validates
BATCHES = 6  # of training slices, at least: what reads ahead hides the first ones
MOST_PATIENTS = 40
_SIZED = ("prepare_slices",)


@dataclasses.dataclass
class Measured:
    """What a stage of the trial took.

    Attributes:
      seconds: [2] on the wall, and of the process.
      clocks: by name; bars by their titles.
      memory: bytes, the most at a time.
      disk: bytes of its folder.
      work: bytes that it has beside while it is at work, to resume from.
    """

    seconds: np.ndarray
    clocks: dict[str, step_clocks.Clock]
    memory: int = 0
    disk: int = 0
    work: int = 0


@dataclasses.dataclass
class Trial:
    """A trial.

    Attributes:
      run_dir: its folder.
      config: its flags.
      patients, slices: split to class to numbers.
      stages: name of each stage to what it took.
      figures: of stage.json, by stage.
    """

    run_dir: Path
    config: Any
    patients: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    slices: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    stages: dict[str, Measured] = dataclasses.field(default_factory=dict)
    figures: dict[str, dict] = dataclasses.field(default_factory=dict)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A temporary folder for a trial, which may take what memory there is and no more."""
    kept_within = memory.at_most(limits.room(tempfile.gettempdir()).memory)
    with kept_within, temporary_folders.folder() as path:
        yield path


def run(config, cohort: Cohort, names: Sequence[str], *, folder: Path, calls: StageCalls) -> Trial:
    """Runs some stages of a run on some of its patients.

    Args:
      config: of the pipeline, or of a study.
      cohort: of the whole run; of phantoms, which are made, it says the classes alone.
      names: of the stages, in their order.
      folder: an empty one.
      calls: of the stages.
    """
    members = PATIENTS
    needed = BATCHES * max(config.unet_batch, config.extract_batch)
    if "train_generators" in names:
        needed = max(needed, config.gan_batch, config.classifier_batch)
    while True:
        trial = _begun(config, cohort, members, folder=folder / str(members))
        _run(trial, [name for name in names if name in ("make_phantom", *_SIZED)], cohort, calls=calls)
        training = sum(trial.slices["train"].values())
        enough = members * needed / training if training else 1
        largest = max(sum(patient.label == name for patient in cohort.patients) for name in cohort.classes.names)
        more = min(int(np.ceil(enough)) + 2, MOST_PATIENTS, largest)
        if training >= needed or more <= members:
            break
        members = more
    left = [name for name in names if name not in trial.stages and name not in ("make_phantom", *_SIZED)]
    _run(trial, left, cohort, calls=calls)
    return trial


def chosen(cohort: Cohort, members: int) -> Cohort:
    """That many patients of each class, of all over the list, each a group by itself."""
    found: list[Patient] = []
    for name in cohort.classes.names:
        of_class = [patient for patient in cohort.patients if patient.label == name]
        places = np.unique(np.linspace(0, len(of_class) - 1, min(members, len(of_class))).round().astype(int))
        found += [dataclasses.replace(of_class[place], group=of_class[place].id) for place in places]
    return cohort._replace(patients=sorted(found, key=lambda patient: patient.id))


def _begun(config, cohort: Cohort, members: int, *, folder: Path) -> Trial:
    names = cohort.classes.names
    added = max(2 * config.generate_batch, 16) if hasattr(config, "generate_batch") else 0
    changes = {
        "run_dir": str(folder),
        "split_file": "",
        "slices_from": "",
        "test_counts": tuple(f"{name}:1" for name in names),
        "validation_fraction": 1 / members,
        "phantom_counts": tuple(f"{name}:{members}" for name in names),
        "phantom_test_counts": (),
        "unet_epochs": EPOCHS,
        "unet_steps": 0,
        "unet_half_size": 0.0,
        "unet_patience": 0,
        "unet_class_weight": 0.0,
        "cross_fit": 0,
        "gan_epochs": EPOCHS,
        "synthetic_per_class": added,
        "generate_tries": 1,
        "synthetic_added": 0,
        "synthetic_to": adding.ALL,
        "classifier_epochs": EPOCHS,
        "classifier_patience": 0,
        "look_alikes": "allow",
    }
    known = {field.name for field in dataclasses.fields(config)}
    trial = dataclasses.replace(config, **{name: value for name, value in changes.items() if name in known})
    lacking = {name: value for name, value in changes.items() if name not in known}
    return Trial(folder, _With(trial, lacking))


class _With:
    """A config and some flags that it lacks, such as a study's without those that it gives to each fold."""

    def __init__(self, config, others: Mapping[str, Any]):
        self._config, self._others = config, dict(others)

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._others[name] if name in self._others else getattr(self._config, name)


def _run(trial: Trial, names: Collection[str], cohort: Cohort, *, calls: StageCalls) -> None:
    for name in names:
        work = functools.partial(calls.run, name, trial.config, trial_cohort(trial, cohort))
        trial.stages[name] = measured(name, trial.run_dir, work)
        tf.keras.backend.clear_session()
        for kind in trial.config.generators[:1] if registry.STAGES[name].has_kinds else ("",):
            if rundir.is_done(trial.run_dir, name, kind):
                trial.figures[name] = rundir.find(trial.run_dir, name, kind).record["figures"]
        if name == "prepare_slices":
            found = trial.figures[name]["split"]
            trial.patients = {split: dict(one["patients"]) for split, one in found.items()}
            trial.slices = {split: dict(one["slices"]) for split, one in found.items()}


def trial_cohort(trial: Trial, cohort: Cohort) -> Cohort | None:
    """The patients of a trial; None where it makes phantoms, which it reads by itself."""
    if trial.config.cohort == phantom.COHORT:
        return None
    return chosen(cohort, round(1 / trial.config.validation_fraction))


def measured(name: str, run_dir: Path, work: Callable[[], object], *, share: str = "") -> Measured:
    """What a stage takes, of which nothing is shown but that it is measured.

    Args:
      name: of the stage.
      run_dir: of the trial.
      work: runs it.
      share: of what will be done, in words.
    """
    print(f"measuring {name}{share and ': '}{share} ...", file=sys.stderr, end="", flush=True)
    before: dict[Path, int] = {}
    logs = run_dir / "tensorboard"
    logged = size_of(logs)
    memory: list[int] = []

    def finished(folder, record):
        before[folder] = size_of(folder)
        memory.append(record["peak_memory"])

    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        bars = stack.enter_context(step_clocks.watched_bars())
        clocks = stack.enter_context(step_clocks.watched(name))
        stack.enter_context(rundir.when_finished(finished))
        start = step_clocks.now()
        work()
        seconds = step_clocks.now() - start
    print(f" {seconds[0]:.0f} s", file=sys.stderr, flush=True)
    kept = sum(size_of(folder) for folder in before)
    dropped_later = sum(before.values()) - kept
    kept += size_of(logs) - logged
    return Measured(seconds, bars | clocks, memory=max(memory, default=0), disk=kept, work=dropped_later)


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder, and in those within."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Says nothing meanwhile but errors: what a trial finds is no result."""
    with remarks.errors_alone(), contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield
