"""Made predictions of few-shot draws, whose truth is known."""

from __future__ import annotations

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation import predictions

SHOTS, RESERVE = (2, 4, 8), 4
KINDS = {"none": "none", "smote": "classical", "gaussian": "generative", "oracle": "control"}
CLASSES = ("control", "case")


def made(*, gains=None, draws=10, counts=(30, 24), classifiers=("ridge", "mlp@10"), classes=CLASSES, seed=0):
    """Tables by shots, and who was trained on.

    Args:
      gains: arm to what it adds to the strength of the signal; the oracle's is that of more patients.
      counts: patients of each class, the last being cut.
    """
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    ids = np.array([f"p{i:03d}" for i in range(len(labels))])
    ease = random.normal(0, 0.8, len(labels))
    few = np.flatnonzero(labels == len(counts) - 1)
    rest = np.flatnonzero(labels < len(counts) - 1)
    tables, trained = {shots: [] for shots in SHOTS}, {shots: {} for shots in SHOTS}
    for draw in range(draws):
        order, others = random.permutation(few), random.permutation(rest)
        tested, kept = np.split(others, [round(0.4 * len(others))])
        test = np.sort(np.concatenate([tested, order[max(SHOTS) + RESERVE :]]))
        samples = predictions.Samples(ids[test], np.zeros(len(test), int), labels[test])
        for shots in SHOTS:
            trained[shots][draw] = ids[np.concatenate([kept, order[:shots]])].tolist()
            for classifier in classifiers:
                for arm, kind in KINDS.items():
                    strength = 0.5 * np.log(shots + RESERVE * (arm == "oracle")) + (gains or {}).get(arm, 0.0)
                    logits = random.normal(0, 0.4, (len(test), len(counts))) + ease[test, None]
                    logits[np.arange(len(test)), labels[test]] += strength
                    logits[:, 0] -= ease[test]
                    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                    tables[shots].append(
                        predictions.rows(
                            samples,
                            p,
                            classes=Classes.of(classes),
                            arm=arm,
                            kind=kind,
                            classifier=classifier,
                            validation_loss=0.6 - 0.1 * (arm == "smote"),
                            plan="few-shot",
                            draw=draw,
                            seed=draw,
                        )
                    )
    return {shots: predictions.join(parts) for shots, parts in tables.items()}, trained
