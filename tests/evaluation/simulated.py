"""Simulated predictions of a study that tests of its table share."""

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation import out_of_fold_runs
from rembrandt_featgen.evaluation.predictions import PredictionsTable, Samples, rows
from rembrandt_featgen.measures.decisions import two_columns

LABELS = [1, 0] * 20
CLASSES = Classes.of(("LGG", "HGG"))


def predictions(arm, probabilities, labels, *, kind="none", threshold=0.5, **more) -> PredictionsTable:
    """One row for each slice of patients P0, P1, ..., all of a patient alike; probabilities of the positive class."""
    slices = more.pop("slices", 1)
    patients = np.repeat([f"P{i}" for i in range(len(labels))], slices)
    samples = Samples(patients, np.tile(np.arange(slices), len(labels)), np.repeat(labels, slices))
    return rows(
        samples,
        two_columns(np.repeat(np.asarray(probabilities, float), slices)),
        classes=CLASSES,
        arm=arm,
        kind=kind,
        classifier="cnn",
        thresholds=two_columns(threshold),
        **more,
    )


def runs_of(right, seeds=2):
    """Runs in which the first `right` patients are predicted right and the others wrong."""
    truth = np.array(LABELS) == 1
    positive = np.where(np.arange(40) < right, truth, ~truth)
    return [
        out_of_fold_runs.gather(predictions("x", np.where(positive, 0.9, 0.1), LABELS, slices=3, seed=seed))
        for seed in range(seeds)
    ]
