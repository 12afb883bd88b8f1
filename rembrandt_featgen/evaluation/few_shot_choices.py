"""What inner folds choose in each draw of a few-shot study, among some classifiers, and how it does; found once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from rembrandt_featgen.evaluation.contrasts import choose
from rembrandt_featgen.evaluation.few_shot_scores import Cohort, Outcome
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.measures import few_shot_errors
from rembrandt_featgen.measures.few_shot_errors import Estimate, Training

NONE = "none"  # the arm of real samples alone
WITHOUT, WITH = "without", "with"  # generation
SIDES = (WITHOUT, WITH, NONE)  # of what is chosen

Value = TypeVar("Value")


class Choices:
    """The choices of one study.

    Attributes:
      tables: shots to predictions by all pipelines, with their validation loss.
      cohort: of these tables.
      training: shots to who was trained on.
    """

    def __init__(self, tables: Mapping[int, PredictionsTable], cohort: Cohort, training: Mapping[int, Training]):
        self.tables, self.cohort, self.training = tables, cohort, training
        self._known: dict[tuple, object] = {}

    def classifiers(self, shots: int) -> tuple[str, ...]:
        """All that there are, in the order of the table."""
        return tuple(dict.fromkeys(self.tables[shots].classifier.tolist()))

    def rows(self, shots: int, classifiers: Sequence[str], side: str) -> PredictionsTable:
        """Predictions of what was chosen among pipelines of some classifiers, of one of `SIDES`; perhaps none."""
        return self._once(("rows", shots, tuple(classifiers), side), self._rows)

    def outcome(self, shots: int, classifiers: Sequence[str], side: str) -> Outcome:
        """How it does."""
        return self._once(("outcome", shots, tuple(classifiers), side), self._outcome)

    def gap(self, shots: int, classifiers: Sequence[str], side: str) -> Estimate:
        """The difference of AUROC of what was chosen among all that generate to another of `SIDES`."""
        return self._once(("gap", shots, tuple(classifiers), side), self._gap)

    def difference(self, shots: int, after, before) -> Estimate:
        """Of a measure of two pipelines at some shots."""
        return few_shot_errors.difference(after, before, training=self.training[shots], drawn=self.cohort.resamples)

    def _once(self, key: tuple, find: Callable[..., Value]) -> Value:
        if key not in self._known:
            self._known[key] = find(*key[1:])
        return self._known[key]  # type: ignore[return-value]

    def _rows(self, shots, classifiers, side):
        table = self.tables[shots]
        there = np.isin(table.classifier, classifiers)
        return choose(table.take(there & (table.arm == NONE) if side == NONE else there), side == WITH)

    def _outcome(self, shots, classifiers, side):
        return self.cohort.outcome(self.cohort.scores(self.rows(shots, classifiers, side)))

    def _gap(self, shots, classifiers, side):
        after, before = (self.outcome(shots, classifiers, one).auroc for one in (WITH, side))
        return self.difference(shots, after, before)
