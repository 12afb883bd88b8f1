"""From the predictions of few-shot draws to arrays [draws, patients], and to what their errors need."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.measures import classification, few_shot_auroc
from rembrandt_featgen.measures.few_shot_auroc import Parts, Resamples
from rembrandt_featgen.measures.few_shot_errors import Training

Trained = Mapping[int, Mapping[int, Collection[str]]]  # shots to draw to ids of patients


class Row(NamedTuple):
    """An arm of a classifier at a number of shots."""

    shots: int
    classifier: str
    arm: str


class Outcome(NamedTuple):
    """What one pipeline did at one number of shots."""

    auroc: Parts
    log_loss: Parts


@dataclasses.dataclass(frozen=True, eq=False)
class Cohort:
    """Who was tested at all.

    Attributes:
      patients: [patients] sorted ids.
      labels: [patients].
      groups: [groups] sorted names, in the order of `resamples.units`.
      draws: [draws] sorted numbers.
      few: label of the class of which few are trained on.
      resamples: of groups and of draws.
    """

    patients: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    draws: np.ndarray
    few: int
    resamples: Resamples

    def training(self, trained: Mapping[int, Collection[str]]) -> Training:
        """Who was trained on in each draw, of those who were tested in any.

        Args:
          trained: draw to ids of patients.
        """
        inside = np.zeros((len(self.draws), len(self.groups)), bool)
        for row, draw in enumerate(self.draws.tolist()):
            there = np.isin(self.patients, list(map(str, trained[draw])))
            inside[row, self.resamples.groups[there]] = True
        return Training(inside, self.few)

    def scores(self, table: PredictionsTable) -> np.ndarray:
        """[draws, patients, classes] probabilities, NaN where a patient was not tested; of one pipeline."""
        scores = np.full((len(self.draws), len(self.patients), table.classes.count), np.nan)
        for (draw, _), rows in table.split("draw", "seed"):
            ids, _, probabilities = classification.by_patient(rows.patient.astype(str), rows.label, rows.probabilities)
            place = int(np.searchsorted(self.draws, draw))
            where = np.searchsorted(self.patients, ids)
            if np.isfinite(scores[place, where]).any():
                raise InputError(f"draw {draw} has several trainings of a pipeline; give one seed for each draw")
            scores[place, where] = probabilities
        return scores

    def outcome(self, scores: np.ndarray) -> Outcome:
        """AUROC and log loss of `scores`."""
        losses = -np.log(scores[:, np.arange(len(self.labels)), self.labels])
        return Outcome(few_shot_auroc.auroc(scores, self.resamples), few_shot_auroc.mean_loss(losses, self.resamples))


def cohort(tables: Mapping[int, PredictionsTable], *, few: int, draws: int, seed: int) -> Cohort:
    """All patients who are tested in any draw.

    Args:
      tables: shots to predictions.
      few: label of the class of which few are trained on.
      draws, seed: of the bootstrap over patients.

    Raises:
      InputError: there are no predictions, or draws differ between shots.
    """
    if not tables or not all(map(len, tables.values())):
        raise InputError("a few-shot study without predictions has no report; run its draws first")
    of_shots = {shots: sorted(set(table.draw.tolist())) for shots, table in tables.items()}
    numbers = next(iter(of_shots.values()))
    other = next((shots for shots, found in of_shots.items() if found != numbers), None)
    if other is not None:
        raise InputError(f"shots {other} have other draws than shots {next(iter(of_shots))}; run the missing ones")
    known: dict[str, tuple[int, str]] = {}
    for table in tables.values():
        # The first sample of a patient says its label, as in `classification.by_patient`.
        ids, first = np.unique(table.patient.astype(str), return_index=True)
        for patient, row in zip(ids.tolist(), first.tolist()):
            known.setdefault(patient, (int(table.label[row]), str(table.group[row])))
    patients = np.array(sorted(known))
    labels = np.array([known[patient][0] for patient in patients.tolist()])
    groups = np.array([known[patient][1] for patient in patients.tolist()])
    again = few_shot_auroc.resamples(labels, draws=len(numbers), groups=groups, times=draws, seed=seed)
    return Cohort(patients, labels, np.unique(groups), draws=np.array(numbers), few=few, resamples=again)


def with_reserve(training: Mapping[int, Training], scores: np.ndarray, cohort: Cohort) -> dict[int, Training]:
    """Shots to who was trained on where the reserve was, too: those of few whom a draw neither tests nor trains on.

    Args:
      training: shots to who was trained on without it.
      scores: of `Cohort.scores`, of any arm.
      cohort: whose scores these are.
    """
    unused = ~training[max(training)].trained & (cohort.resamples.units == cohort.few)
    for row, there in enumerate(np.isfinite(scores[:, :, 0])):
        unused[row, cohort.resamples.groups[there]] = False
    return {shots: Training(one.trained | unused, cohort.few) for shots, one in training.items()}
