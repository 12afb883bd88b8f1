"""What competes in a study of vectors: arms, amounts and classifiers."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from rembrandt_featgen.evaluation.vector_arms import VECTOR_ARMS
from rembrandt_featgen.generation.sample_pool import SamplePool


@dataclasses.dataclass(frozen=True)
class Settings:
    """What competes, and how it is tuned.

    Attributes:
      arms: names of `VECTOR_ARMS`.
      amounts: of extra samples, for arms with a method.
      classifiers: names of `CLASSIFIER_KINDS`.
      components: principal components of the training samples; 0 keeps the columns.
      inner_folds: by which training patients tune the regularisation.
      synthetic: samples of the arm "synthetic", columns as of the table, NaN where missing.
    """

    arms: tuple[str, ...]
    amounts: tuple[float, ...]
    classifiers: tuple[str, ...]
    components: int = 0
    inner_folds: int = 3
    synthetic: SamplePool | None = None


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
        for amount in (settings.amounts if VECTOR_ARMS[name].method else (None,))
    ]
