"""Simulated predictions of a study that tests of its table share."""

import numpy as np

from rembrandt_featgen.evaluation import out_of_fold_runs
from rembrandt_featgen.evaluation.predictions import Prediction

LABELS = [1, 0] * 20


def predictions(arm, probabilities, labels, *, kind="none", threshold=0.5, slices=1, chosen=True, amount=""):
    """One row for each slice of patients P0, P1, ..., all of a patient alike."""
    return [
        Prediction(
            patient=f"P{i}",
            sample=k,
            label=label,
            arm=arm,
            kind=kind,
            amount=amount,
            classifier="cnn",
            chosen=chosen,
            threshold=threshold,
            probabilities=(1.0 - float(p), float(p)),
        )
        for i, (p, label) in enumerate(zip(probabilities, labels))
        for k in range(slices)
    ]


def runs_of(right, seeds=2):
    """Runs in which the first `right` patients are predicted right and the others wrong."""
    truth = np.array(LABELS) == 1
    positive = np.where(np.arange(40) < right, truth, ~truth)
    return [
        out_of_fold_runs.gather(predictions("x", np.where(positive, 0.9, 0.1), LABELS, slices=3)) for _ in range(seeds)
    ]
