"""What competes in a study: arms, amounts and classifiers."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import NamedTuple

from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.classification.classifier_kinds import ClassifierSettings
from rembrandt_featgen.classification.map_fitting import NetworkSettings
from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.generation.sample_pool import SamplePool


@dataclasses.dataclass(frozen=True)
class Settings:
    """What competes, and how it is tuned.

    Attributes:
      arms: names of `ARMS`.
      amounts: of extra samples, for arms that take one.
      classifiers: names, see `classifier_kinds.kind_of`.
      components: principal components of the training vectors; 0 keeps the columns.
      inner_folds: by which training patients tune the regularisation.
      pools: samples that were made before, as those of the table are, by the arm that draws from them.
      committed: whether the strength that real samples alone (the arm "none") choose holds for every arm, so that it is
        fixed before anything is generated; else each arm, amount and classifier is tuned alike.
      fixed: classifier to its strength, of those whose strength is not to be chosen.
      measured: whether samples of generative arms are measured, too.
      networks: settings of the classifiers of maps, by their name; those that are missing have the defaults.
    """

    arms: tuple[str, ...]
    amounts: tuple[float, ...]
    classifiers: tuple[str, ...]
    components: int = 0
    inner_folds: int = 3
    committed: bool = False
    fixed: Mapping[str, float] = dataclasses.field(default_factory=dict)
    measured: bool = True
    pools: Mapping[str, SamplePool] = dataclasses.field(default_factory=dict)
    networks: Mapping[str, NetworkSettings] = dataclasses.field(default_factory=dict)

    def strengths(self, classifier: str) -> tuple[float, ...]:
        """What is tried for a classifier, from weak to strong."""
        if classifier in self.fixed:
            return (self.fixed[classifier],)
        return classifier_kinds.kind_of(classifier).strengths

    def of_classifier(self, name: str) -> ClassifierSettings:
        """Settings of a classifier."""
        return self.networks.get(classifier_kinds.base_of(name)) or classifier_kinds.kind_of(name).settings()


def check_arms(arms: Collection[str]) -> None:
    """ValueError for arms of which none is what generated features are compared with.

    Args:
      arms: names of `ARMS`.
    """
    if not any(ARMS[name].kind in ("none", "classical") and ARMS[name].inputs == "features" for name in arms):
        raise ValueError("none to compare generated features with; add 'none'")


class Pipeline(NamedTuple):
    """An arm at an amount (None for an arm that takes none)."""

    arm: str
    amount: float | None

    @property
    def shown(self) -> str:
        """The amount as the predictions table has it."""
        return "" if self.amount is None else f"{self.amount:g}"


def pipelines(settings: Settings) -> list[Pipeline]:
    """What competes at each classifier."""
    return [
        Pipeline(name, amount)
        for name in settings.arms
        for amount in (settings.amounts if ARMS[name].takes_amount else (None,))
    ]
