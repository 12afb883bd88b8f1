"""From what a trial took to what the whole run takes: time, disk and memory of each stage.

Time: what a clock's step takes, times the whole run's steps; what no clock saw once, as in the trial. Epochs are
counted in full, patience or not. Disk: what grows with samples by their number, networks and pages as in the trial.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from rembrandt_featgen.data.pipelines import steps_per_epoch
from rembrandt_featgen.estimates import step_counts
from rembrandt_featgen.estimates.step_clocks import EPOCH_ENDS, VALIDATION, Clock
from rembrandt_featgen.estimates.trial_runs import Measured, Trial

ACCEPTED = 0.8  # of what a GAN with an auxiliary classifier draws: of the paper's 82.3% (4.2.2)
_EVALUATE = "evaluate"  # the clock of a U-Net's runs, in which that of each split begins anew
_PER_PATIENT = ("make_phantom", "report_cohort")
_OF_NUMBER = 4  # bytes of a number of a stored vector
_OF_PREDICTION = 140  # bytes of a row of predictions.csv
_PER_SLICE = ("prepare_slices", "extract_features")


@dataclasses.dataclass
class Row:
    """What a stage takes of a whole run.

    Attributes:
      name: of the stage.
      samples: what it has to do, in words.
      seconds: [2] on the wall, and of the process.
      memory, disk, work: bytes; of `work` see `trial_runs.Measured`.
      times: how often it is done, as in each fold; the others are of all of them.
    """

    name: str
    samples: str
    seconds: np.ndarray
    memory: int
    disk: int
    work: int = 0
    times: int = 1


@dataclasses.dataclass(frozen=True)
class Whole:
    """The whole run, or a fold of a study.

    Attributes:
      config: its flags.
      patients, slices: split to class to numbers.
    """

    config: Any
    patients: Mapping[str, Mapping[str, int]]
    slices: Mapping[str, Mapping[str, int]]

    def count(self, split: str = "", *, of_slices: bool = False) -> int:
        """Patients or slices of a split, or of all."""
        numbers = self.slices if of_slices else self.patients
        return sum(sum(own.values()) for name, own in numbers.items() if split in ("", name))


def row(name: str, trial: Trial, whole: Whole) -> Row:
    """A stage of the whole run, from that of the trial."""
    found = trial.stages[name]
    small = Whole(trial.config, trial.patients, trial.slices)
    growth = _growth(name, whole, small)
    return Row(
        name,
        samples=_samples(name, whole),
        seconds=seconds(found, items(name, whole, small=small, found=found)),
        memory=found.memory,
        disk=_disk(name, trial, whole, small=small),
        work=round(found.work * growth),
    )


def seconds(found: Measured, wanted: Mapping[str, float]) -> np.ndarray:
    """[2] seconds of a stage: its clocks' steps as often as is wanted, all else as it was.

    Args:
      found: of the trial.
      wanted: name of each clock that counts to its steps in the whole run.
    """
    clocks = {name: found.clocks[name] for name in wanted if name in found.clocks}
    once = found.seconds - sum((clock.spent for clock in clocks.values()), np.zeros(2))
    each = {name: clock.quick if name == _EVALUATE else clock.mean for name, clock in clocks.items()}
    steps = [
        clock.first + max(wanted[name] - clock.firsts, 0) * each[name] for name, clock in clocks.items() if wanted[name]
    ]
    return np.maximum(once, 0.0) + sum(steps, np.zeros(2))


def items(name: str, whole: Whole, *, small: Whole, found: Measured) -> dict[str, float]:
    """Clock to its steps in the whole run, of those clocks of a stage that its samples are counted by."""
    config = whole.config
    if name == "make_phantom":
        return {f"phantoms of {label}": count for label, count in _by_class(whole).items()}
    if name == "report_cohort":
        return {"patients": whole.count()}
    if name == "prepare_slices":
        return {"patients' content": whole.count("train"), "slices": whole.count()}
    if name == "train_unet":
        return _unet_items(whole, small=small, clocks=found.clocks)
    if name == "extract_features":
        # By the training slices: those of other splits are a batch or two of a trial, which the first slice waits for.
        others = small.count(of_slices=True) - small.count("train", of_slices=True)
        return {f"{config.tap} of train": whole.count(of_slices=True) - others}
    if name == "extract_vectors":
        again = config.cross_fit > 0
        vectors = {
            f"vectors of {split}": whole.count(split) * (1 + (again and split == "train")) for split in whole.slices
        }
        return vectors | {"vectors of augmented volumes": whole.count("train") * config.vector_augmentations}
    if name not in ("train_generators", "generate_synthetic", "train_classifiers"):
        return {}
    steps = step_counts.steps(config, whole.slices, accepted=ACCEPTED)
    validating, kinds = whole.count("validation", of_slices=True), len(config.generators)
    if name == "generate_synthetic":
        return {name: steps[name] * kinds}
    if name == "train_generators":
        epochs = config.gan_epochs * kinds
        return {name: steps[name] * kinds, **_around(name, epochs, validating, batch=config.gan_batch)}
    epochs = config.classifier_epochs * len(config.classifier_arms)
    found_items: dict[str, float] = {}
    for kind in config.classifier_kinds:
        found_items |= {kind: steps[kind], **_around(kind, epochs, validating, batch=config.classifier_batch)}
    return found_items


def _around(name: str, epochs: int, validating: int, *, batch: int) -> dict[str, float]:
    return {f"{name} {EPOCH_ENDS}": epochs, f"{name} {VALIDATION}": epochs * steps_per_epoch(validating, batch)}


def _unet_items(whole: Whole, *, small: Whole, clocks: Mapping[str, Clock]) -> dict[str, float]:
    """Of the U-Net; each of those of --cross_fit has its share of the patients, and so of the steps."""
    config = whole.config
    of_epoch, epochs = step_counts.unet_steps_and_epochs(config, whole.count("train", of_slices=True))
    half = round(config.unet_half_size * epochs)
    networks = max(config.cross_fit, 1)
    validated, validated_there = (
        steps_per_epoch(one.count("validation", of_slices=True), config.unet_batch) for one in (whole, small)
    )
    ends = f"train_unet {EPOCH_ENDS}"
    # The end of an epoch has what is there once, such as saving, and the validation.
    evaluation = clocks[_EVALUATE].quick[1] * validated_there if _EVALUATE in clocks else 0.0
    spent = clocks[ends].mean[1] if ends in clocks else 0.0
    share = min(evaluation / spent, 1.0) if spent else 0.0
    longer = 1.0 - share + share * validated / max(validated_there, 1)
    tested = sum(steps_per_epoch(whole.count(split, of_slices=True), config.unet_batch) for split in whole.slices)
    return {
        "train_unet": (epochs - 0.75 * half) * of_epoch * networks,
        ends: epochs * networks * longer,
        _EVALUATE: tested,
    }


def _by_class(whole: Whole) -> dict[str, int]:
    found: dict[str, int] = {}
    for own in whole.patients.values():
        for label, count in own.items():
            found[label] = found.get(label, 0) + count
    return found


def _disk(name: str, trial: Trial, whole: Whole, *, small: Whole) -> int:
    """Bytes of a stage's files."""
    found, patients = trial.stages[name].disk, whole.count() - small.count()
    if name == "extract_vectors":  # small files are what says what their columns are
        copies = whole.config.vector_augmentations * whole.count("train")
        return found + max(patients + copies, 0) * trial.figures[name]["columns"] * _OF_NUMBER
    if name == "train_classifiers":
        predicted = whole.count("test", of_slices=True) - small.count("test", of_slices=True)
        trained = len(whole.config.classifier_arms) * len(whole.config.classifier_kinds)
        return found + max(predicted, 0) * trained * _OF_PREDICTION
    return round(found * _growth(name, whole, small))


def _growth(name: str, whole: Whole, small: Whole) -> float:
    """How much more samples the whole run has than the trial, where the stage's files grow with them."""
    if name in _PER_PATIENT:
        return whole.count() / max(small.count(), 1)
    if name in _PER_SLICE:
        return whole.count(of_slices=True) / max(small.count(of_slices=True), 1)
    if name == "generate_synthetic":
        return whole.config.synthetic_per_class / max(small.config.synthetic_per_class, 1)
    if name == "train_unet":
        return max(whole.config.cross_fit + 1, 1)
    return 1.0


def _samples(name: str, whole: Whole) -> str:
    config = whole.config
    if name in ("make_phantom", "report_cohort"):
        return f"{whole.count()} patients"
    if name in ("prepare_slices", "share_slices"):
        return f"{whole.count()} patients, {whole.count(of_slices=True)} slices"
    if name == "train_unet":
        of_epoch, epochs = step_counts.unet_steps_and_epochs(config, whole.count("train", of_slices=True))
        return f"{epochs} x {of_epoch} steps" + f", {config.cross_fit + 1} networks" * (config.cross_fit > 0)
    if name == "extract_features":
        return f"{whole.count(of_slices=True)} slices"
    if name == "extract_vectors":
        return f"{whole.count()} patients" + f", {config.vector_augmentations} copies" * (
            config.vector_augmentations > 0
        )
    if name == "train_generators":
        of_epoch = steps_per_epoch(whole.count("train", of_slices=True), config.gan_batch)
        return f"{', '.join(config.generators)}: {config.gan_epochs} x {of_epoch} steps"
    if name == "generate_synthetic":
        return f"{config.synthetic_per_class * len(_by_class(whole))} features"
    if name == "train_classifiers":
        trainings = len(config.classifier_arms) * len(config.classifier_kinds)
        return f"{trainings} x {config.classifier_epochs} epochs at most"
    return ""
