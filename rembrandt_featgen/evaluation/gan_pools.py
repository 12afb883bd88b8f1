"""GANs of maps for a task: trained on its training patients alone, and drawn from as samples that were made before."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from rembrandt_featgen.classification import independent_judge
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.generation import gan_training, training_set
from rembrandt_featgen.generation.acceptance import Tally, accepted_features
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.generation.gan_training import GanTraining
from rembrandt_featgen.generation.sample_pool import SamplePool

OF_MAPS = tuple(name for name, kind in KINDS.items() if not kind.of_images)
_FEW = 0.5  # of what is asked for: a warning where fewer are accepted
_BATCH = 64  # features that are drawn at a time


class Made(NamedTuple):
    """What the GANs of a task made.

    Attributes:
      pools: arm (kind of GAN) to its accepted samples, with features as in the table.
      notes: arm to {"asked", "generated", "accepted", "by_discriminator"}, each class to number: how many were to be
        accepted, how many were drawn, and how many of them judge and discriminator accept (the latter None, where it
        cannot refuse).
    """

    pools: dict[str, SamplePool]
    notes: dict[str, dict]


@dataclasses.dataclass(frozen=True)
class GanPools:
    """Trains GANs for one task after another.

    Attributes:
      kinds: of `OF_MAPS`.
      amounts: of extra samples, for the largest of which there are to be enough.
      training: of each.
      tries: times what is needed that are drawn at most.
    """

    kinds: tuple[str, ...]
    amounts: tuple[float, ...]
    training: GanTraining = GanTraining()
    tries: int = 10

    def of_task(self, table: FeatureTable, task: Task) -> Made:
        """Trains a GAN of each kind on the task's training samples, and draws until a judge has accepted enough.

        The judge learns from the same samples (`classification.independent_judge`): what a discriminator accepts says
        little of a small cohort. What comes is a function of the samples and of the task's training seed alone.

        Args:
          table: of maps.
          task: whose training samples alone are looked at.

        Raises:
          InputError: fewer than two classes have two groups, so that there is no judge.
        """
        if not self.kinds:
            return Made({}, {})
        rows, names = task.train, table.classes.names
        features, labels = table.values[rows], table.labels[rows]
        seed = task.training_seed
        try:
            judge = independent_judge.train_judge(
                features, labels, table.groups[rows], num_classes=table.classes.count, seed=seed
            )
        except ValueError as error:
            raise InputError(
                f"{task.name}: {error}; add patients, or leave {', '.join(self.kinds)} out of --few_shot_arms"
            ) from error
        made = Made({}, {})
        for kind in self.kinds:
            # of the kind, whichever others compete
            of_kind = (seed + OF_MAPS.index(kind)) % 2**31
            spec = self.training.spec(kind, table.shape, num_classes=table.classes.count, seed=of_kind)
            gan = gan_training.train(features, labels, spec, training=self.training, signed=table.signed)
            tallies, wanted = [Tally() for _ in names], self._wanted(labels)
            drawn = list(
                accepted_features(
                    gan,
                    judge,
                    tallies,
                    wanted=wanted,
                    tries=self.tries,
                    batch=_BATCH,
                    seed=spec.seed,
                )
            )
            made.pools[kind] = SamplePool(
                np.array([feature for _, _, feature in drawn], np.float32).reshape(-1, *table.shape),
                np.array([label for _, label, _ in drawn], np.int64),
            )
            made.notes[kind] = {
                "asked": dict.fromkeys(names, wanted),
                "generated": {name: tally.generated for name, tally in zip(names, tallies)},
                "accepted": {name: tally.accepted for name, tally in zip(names, tallies)},
                "by_discriminator": {
                    name: tally.by_discriminator if gan.can_refuse else None for name, tally in zip(names, tallies)
                },
            }
            logging.info(
                "%s: %s: the judge accepted %s",
                task.name,
                kind,
                ", ".join(
                    f"{tally.accepted} of {tally.generated} maps of {name} ({wanted} were asked for)"
                    for name, tally in zip(names, tallies)
                ),
            )
        return made

    def _wanted(self, labels: np.ndarray) -> int:
        """Samples of each class that are enough for every amount; inner folds, of fewer samples, want no more."""
        classes = int(labels.max()) + 1
        largest = int(np.bincount(labels).max())
        return max(largest, *(max(training_set.counts(labels, amount, classes).values()) for amount in self.amounts))


def few_accepted(shares: Mapping[int, Mapping[str, Mapping]]) -> list[str]:
    """A line on the generators of which far fewer samples were accepted than asked for; none where all gave enough.

    Args:
      shares: number of shots to `acceptance`.
    """
    few = [
        f"{kind} with {shots} {name}: {share:.0%} of what was asked for (the judge accepted "
        f"{of_kind['judge'][name]:.1%} of what was generated)"
        for shots, of_shots in shares.items()
        for kind, of_kind in of_shots.items()
        for name, share in (of_kind.get("of_asked") or {}).items()
        if share < _FEW
    ]
    if not few:
        return []
    return [
        f"Far fewer generated maps were accepted than asked for, so that arms of these generators add less than others "
        f"do, and say little of generation: {'; '.join(few)}."
    ]


def acceptance(notes: Sequence[Mapping[str, Mapping]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Of several tasks, each class's share of drawn samples that were accepted.

    Args:
      notes: of `Made`, of each task.

    Returns:
      Arm to "judge" and "discriminator" (None where it cannot refuse), class to share; and "of_asked", class to the
      share of what was asked for that was accepted.
    """
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for kind in notes[0] if notes else ():
        totals = {
            key: {
                name: None if value is None else sum(one[kind][key][name] for one in notes)
                for name, value in notes[0][kind][key].items()
            }
            for key in ("generated", "accepted", "by_discriminator")
        }
        found[kind] = {
            who: {
                name: None if count is None else count / totals["generated"][name]
                for name, count in totals[key].items()
            }
            for who, key in (("judge", "accepted"), ("discriminator", "by_discriminator"))
        }
        each = [one[kind] for one in notes]
        if all("asked" in one for one in each):
            found[kind]["of_asked"] = {
                name: sum(min(one["accepted"][name], one["asked"][name]) for one in each)
                / sum(one["asked"][name] for one in each)
                for name in each[0]["asked"]
            }
    return found
