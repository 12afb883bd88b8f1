"""The points of a sweep: runs that differ in one thing from the run that they are compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from absl import logging

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.features import crops
from rembrandt_featgen.generation import adding
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.segmentation import unet

# Flags that have a mode "reference", to the stages whose settings they are.
REFERENCE_FLAGS = {"augmentation": "train_unet", "gan_loss": "train_generators", "gan_networks": "train_generators"}
TAPS = (*unet.TAPS, crops.TAP)
ALL = "all"  # as many of them as there are


class Point(NamedTuple):
    """One run of a sweep.

    Attributes:
      axis: what is varied: start, implementation, tap, gan, filters, added, balancing, or added_<class>.
      value: on the axis, as people read it.
      changes: flags that differ from those of the base run.
      arms: of the classifier; a point without any ends with its U-Net.
      reference: whether the others of its family are compared with it.
    """

    axis: str
    value: str
    changes: Mapping[str, Any]
    arms: tuple[str, ...]
    reference: bool = False

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.axis}={self.value}"


@dataclasses.dataclass(frozen=True)
class Axes:
    """What is to be varied.

    Attributes:
      reference: flags of `REFERENCE_FLAGS`.
      taps: of `TAPS`.
      generators: kinds.
      filters: of the GAN.
      added: numbers of synthetic features that are added.
      adds_all: whether all are added, too.
      receivers: who is given them: one of `adding.receivers`.
      from_scratch: whether the U-Net is also trained from random weights.
    """

    reference: tuple[str, ...] = ()
    taps: tuple[str, ...] = ()
    generators: tuple[str, ...] = ()
    filters: tuple[int, ...] = ()
    added: tuple[int, ...] = ()
    adds_all: bool = False
    receivers: tuple[str, ...] = ()
    from_scratch: bool = False


def axis_of(receiver: str) -> str:
    """The axis of the points that give synthetic features to that receiver."""
    return {adding.ALL: "added", adding.MINORITY: "balancing"}.get(receiver, f"added_{receiver}")


def family_of(axis: str) -> str:
    """The family whose points compete; all axes of added features are one."""
    return "added" if axis == "balancing" or axis.startswith("added") else axis


def find_points(axes: Axes, records: Mapping[str, dict], *, kind: str, classes: Classes) -> list[Point]:
    """The points of all axes that are asked for, those of the base run among them.

    Args:
      axes: what is asked for.
      records: stage.json of the stages of the base run, by name.
      kind: of its generator.
      classes: of it.
    """
    points = []
    if axes.from_scratch:
        weights = records["train_unet"]["config"]["unet_weights"]
        if weights:
            changes = {"unet_weights": "", "unet_weights_modalities": ()}
            points.append(Point("start", "pre-trained", changes={}, arms=()))
            points.append(Point("start", "scratch", changes=changes, arms=(), reference=True))
        else:
            logging.warning("--sweep_from_scratch: the run has no --unet_weights, so that it is from scratch itself")
    if axes.reference:
        points += reference_points(records, axes.reference)
    if axes.taps:
        of_run = records["extract_features"]["figures"]["tap"]
        for tap in TAPS:
            if tap in {of_run, *axes.taps}:
                arms = ("baseline", "augmented")
                points.append(Point("tap", tap, changes={"tap": tap}, arms=arms, reference=tap == of_run))
    if axes.generators:
        for name in KINDS:
            if name in {kind, *axes.generators}:
                changes = {"generators": (name,)}
                points.append(Point("gan", name, changes=changes, arms=("augmented",), reference=name == kind))
    if axes.filters:
        settings = records["train_generators"]["config"]
        of_run = (settings["ndf"], settings["ngf"])
        for ndf, ngf in sorted({of_run, *((n, n) for n in axes.filters)}):
            value = f"{ndf}" if ndf == ngf else f"{ndf},{ngf}"
            changes = {"ndf": ndf, "ngf": ngf}
            points.append(Point("filters", value, changes=changes, arms=("augmented",), reference=(ndf, ngf) == of_run))
    if axes.added or axes.adds_all:
        points += _added(axes, records, classes)
    return points


def _added(axes: Axes, records: Mapping[str, dict], classes: Classes) -> list[Point]:
    """Points of the axes on which the number of added features varies."""
    asked = set(axes.added) - {0}
    slices = records["prepare_slices"]["figures"]["split"]["train"]["slices"]
    settings = records["train_classifiers"]["config"]
    gap = max(slices[name] for name in classes.names) - min(slices[name] for name in classes.names)
    points = [Point("added", "0", changes={}, arms=("baseline",), reference=True)]
    for receiver in axes.receivers:
        is_of_run, added = receiver == settings.get("synthetic_to"), settings.get("synthetic_added")
        numbers = asked | ({added} - {0} if is_of_run else set())
        to_the_end = axes.adds_all or (is_of_run and added == 0)
        if receiver == adding.MINORITY:
            logging.info(
                "--sweep_added_to=%s: %d more features make the classes equal, where its curve ends",
                adding.MINORITY,
                gap,
            )
            numbers = {number for number in numbers if number < gap}
            to_the_end = to_the_end and gap > 0
        for value in [*map(str, sorted(numbers)), *([ALL] if to_the_end else [])]:
            changes = {"synthetic_added": 0 if value == ALL else int(value), "synthetic_to": receiver}
            points.append(Point(axis_of(receiver), value, changes=changes, arms=("augmented",)))
    return points


def reference_points(records: Mapping[str, dict], asked: Iterable[str]) -> list[Point]:
    """A run as it is, and with each flag of `REFERENCE_FLAGS` that is asked for turned to its other mode, alone.

    The two modes are "correct" and "reference". A flag that the run does not heed, or that has a third mode, is left
    out, with a warning.

    Args:
      records: stage.json of the run's stages, by name.
      asked: flags of `REFERENCE_FLAGS`.
    """
    modes_of_run, points, idle = modes(records), [], _not_to_be_turned(records)
    for name in sorted(idle.keys() & set(asked)):
        logging.warning("--sweep_reference=%s: %s; left out", name, idle[name])
    for turned in ((), *((name,) for name in REFERENCE_FLAGS if name in asked and name not in idle)):
        changes = {name: "correct" if modes_of_run.get(name) == "reference" else "reference" for name in turned}
        of_gan = [name for name in turned if REFERENCE_FLAGS[name] == "train_generators"]
        arms = ("augmented",) if of_gan else ("baseline", "augmented")
        value = modes_text({**modes_of_run, **changes})
        points.append(Point("implementation", value, changes=changes, arms=arms, reference=not turned))
    return points


def _not_to_be_turned(records: Mapping[str, dict]) -> dict[str, str]:
    """Flags of `REFERENCE_FLAGS` that have no other mode that would change a run, to why."""
    reasons, kind, settings = {}, records["train_generators"]["kind"], records["train_unet"]["config"]
    if not settings["augment"]:
        reasons["augmentation"] = "the run has --augment=false, so that it changes nothing"
    elif settings["augmentation"] not in ("correct", "reference"):
        reasons["augmentation"] = (
            f"the run has --augmentation={settings['augmentation']}, which is neither 'correct' nor 'reference'"
        )
    if not KINDS[kind].has_auxiliary_classifier:
        reasons["gan_loss"] = f"the run's {kind} has no class term, so that it changes nothing"
    return reasons


def modes(records: Mapping[str, dict]) -> dict[str, str]:
    """Flags of `REFERENCE_FLAGS` to their modes in the stages of a run, as far as it came and has them."""
    known = {name: records[learnt]["config"].get(name) for name, learnt in REFERENCE_FLAGS.items() if learnt in records}
    return {name: mode for name, mode in known.items() if mode}


def modes_text(known: Mapping[str, str]) -> str:
    """What `modes` returns as the value of a point: "correct", or what is not, such as "gan_loss" for "reference"."""
    others = {name: mode for name, mode in known.items() if mode != "correct"}
    return "+".join(name if others[name] == "reference" else f"{others[name]}_{name}" for name in sorted(others)) or (
        "correct"
    )
