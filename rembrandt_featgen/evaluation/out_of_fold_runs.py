"""The runs of an arm: its predictions gathered over the folds of one repeat and seed, by slice and by patient."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.measures import bootstrap, classification
from rembrandt_featgen.measures.out_of_fold import OutOfFold


@dataclasses.dataclass(frozen=True)
class Run:
    """Predictions of one arm in one repeat and seed: every patient once, out of fold.

    Attributes:
      patients, samples, labels: [n] of each slice, sorted by patient and position.
      probabilities: [n, classes].
      thresholds: [n, classes], those of the patient's fold.
      groups: [n] of patients who are drawn together: families, say; a patient without any is a group.
      folds: [n] of which fold's models predicted it.
      draw, seed: of the training.
    """

    patients: np.ndarray
    samples: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    thresholds: np.ndarray
    groups: np.ndarray
    folds: np.ndarray
    draw: int = 0
    seed: int = 0


def gather(table: PredictionsTable) -> Run:
    """One arm's rows of all folds of one repeat and seed.

    Raises:
      RuntimeError: a slice was predicted twice, so that its patient was tested in two folds.
    """
    patients = table.patient.astype(str)
    order = np.lexsort((table.sample, patients))
    patients, samples = patients[order], table.sample[order]
    twice = np.flatnonzero((patients[1:] == patients[:-1]) & (samples[1:] == samples[:-1]))
    if twice.size:
        raise RuntimeError(
            f"slice {samples[twice[0]]} of patient {patients[twice[0]]} was tested in two folds: results would be void"
        )
    return Run(
        patients=patients,
        samples=samples,
        labels=table.label[order],
        probabilities=table.probabilities[order],
        thresholds=table.thresholds[order],
        groups=table.group[order].astype(str),
        folds=table.fold[order].astype(str),
        draw=int(table.draw[0]),
        seed=int(table.seed[0]),
    )


def runs_by_arm(table: PredictionsTable) -> dict[str, list[Run]]:
    """Arm to its runs, one for each draw and seed, in that order; of a table of one classifier, one amount of each."""
    runs: dict[str, list[Run]] = {}
    for (arm, _, _), rows in table.split("arm", "draw", "seed"):
        runs.setdefault(arm, []).append(gather(rows))
    return {arm: sorted(each, key=lambda run: (run.draw, run.seed)) for arm, each in runs.items()}


def trainings(runs: Sequence[Run]) -> list[int]:
    """[runs] of which training each is: divisions of the patients where there are several, else seeds.

    Runs of one division with several seeds share the training patients, and U-Nets and generators of maps, so that they
    are no new trainings where divisions are.
    """
    draws = [run.draw for run in runs]
    return draws if len(set(draws)) > 1 else [run.seed for run in runs]


def by_patient(run: Run) -> Run:
    """Gathers a run's slices into patients, by the mean of their log-odds."""
    ids, labels, probabilities = classification.by_patient(run.patients, run.labels, run.probabilities)
    first = np.unique(run.patients, return_index=True)[1]
    return Run(
        patients=ids,
        samples=np.zeros(len(ids), int),
        labels=labels,
        probabilities=probabilities,
        thresholds=run.thresholds[first],
        groups=run.groups[first],
        folds=run.folds[first],
        draw=run.draw,
        seed=run.seed,
    )


def stack(runs: Sequence[Run]) -> OutOfFold:
    """All runs of an arm, whose rows are the same slices or patients."""
    return OutOfFold(*(np.stack([getattr(run, name) for run in runs]) for name in OutOfFold._fields))


def estimates(
    runs: Sequence[Run], *, draws: int, seed: int, inflation: float | None = None
) -> dict[str, bootstrap.Estimate]:
    """Each measure of one arm, mean over its runs, with its 95% interval over patients (groups) and trainings.

    Args:
      runs: of one arm, of the same slices or patients.
      draws, seed: of the bootstrap.
      inflation: for new training patients, see `bootstrap.spread`.
    """
    return bootstrap.bootstrap_arms(
        runs[0].labels,
        {"": stack(runs)},
        draws=draws,
        seed=seed,
        patients=runs[0].groups,
        trainings=trainings(runs),
        inflation=inflation,
    )[""]


def measures(run: Run) -> dict[str, float]:
    """`classification.measures` of a run."""
    return classification.measures(run.labels, run.probabilities, run.thresholds, folds=run.folds)
