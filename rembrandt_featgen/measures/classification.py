"""Measures of a classifier of two or more classes from its probabilities; of two, label 1 is the positive one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rembrandt_featgen.measures import calibration, decisions

SPECIFICITY = 0.8  # at which the sensitivity is read off
MEASURES = (  # of two classes
    "sensitivity",
    "specificity",
    "accuracy",
    "balanced_accuracy",
    "mcc",
    "auroc",
    "auprc",
    "sensitivity_at_specificity",
    "brier",
    "log_loss",
    "ece",
)
OF_CLASSES = ("accuracy", "balanced_accuracy", "mcc", "auroc", "auprc", "brier", "log_loss", "ece")  # of more than two
OF_EACH = ("recall", "auroc", "auprc")  # of each of more than two, see `of_class`


def of_class(measure: str, label: int) -> str:
    """Key of a measure of one class among more than two, such as "recall_2"."""
    return f"{measure}_{label}"


def names(num_classes: int) -> tuple[str, ...]:
    """Keys of `measures` for that many classes."""
    if num_classes == 2:
        return MEASURES
    return (*OF_CLASSES, *(of_class(measure, label) for measure in OF_EACH for label in range(num_classes)))


def measures(
    labels: np.ndarray,
    probabilities: np.ndarray,
    thresholds: np.ndarray | None = None,
    specificity: float = SPECIFICITY,
    *,
    folds: np.ndarray | None = None,
) -> dict[str, float]:
    """Every measure that the report shows.

    Args:
      labels: [n] in [0, classes).
      probabilities: [n, classes] in [0, 1], whose rows sum to 1.
      thresholds: by which `decisions.decide` decides: [classes], or [n, classes]; None for the most probable class.
        Accuracies and mcc alone depend on them.
      specificity: in [0, 1], for sensitivity_at_specificity.
      folds: [n] of which model each sample was predicted by; None where all were by one. AUROC alone compares pairs of
        one fold only: the models of folds differ in their offsets, which go against the class that happens to be
        frequent in a test fold, so that AUROC of all pairs is biased (of noise below 0.5), the more so the less
        regularised a model is (Airola et al. 2011, "An experimental comparison of cross-validation techniques for
        estimating the area under the ROC curve").

    Returns:
      `names` to values, NaN where a measure is not defined, as AUROC is where a class is missing. Of two classes:
      sensitivity (accuracy of the positive class), specificity (of the negative class), accuracy, balanced_accuracy,
      mcc; auroc; auprc, the average precision sum_t (recall_t - recall_t-1) precision_t, whose chance level is the
      share of positive samples; sensitivity_at_specificity, the largest sensitivity over the thresholds with at least
      that specificity; brier, the mean squared error of the positive class's probability; log_loss, the mean of
      -log p of the true class, p at least 2.2e-16; ece, the expected calibration error over 10 bins of equal width,
      |mean probability - share of positive samples| weighted by the samples in the bin (Guo et al. 2017, "On
      calibration of modern neural networks"; with few samples it is far above 0 by chance alone).

      Of more classes: recall, auroc and auprc of each against all others (keys of `of_class`), and their means over
      classes balanced_accuracy, auroc and auprc; accuracy; mcc by Gorodkin 2004, "Comparing two K-category assignments
      by a K-category correlation coefficient"; brier as Brier 1950 has it, the squared error summed over classes (0 to
      2; for two classes it would be twice the one above); log_loss; ece of the most probable class.

    Raises:
      ValueError: probabilities are none, or a label is none of the classes.
    """
    counts = np.ones((1, len(np.asarray(labels))))
    values = weighted_measures(
        labels, probabilities, counts, thresholds=thresholds, specificity=specificity, folds=folds
    )
    return {name: float(value[0]) for name, value in values.items()}


def weighted_measures(
    labels: np.ndarray,
    probabilities: np.ndarray,
    counts: np.ndarray,
    *,
    thresholds: np.ndarray | None = None,
    specificity: float = SPECIFICITY,
    folds: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """`measures` of many resamples at once, each given by how often it holds every sample.

    Args:
      labels, probabilities, thresholds, specificity, folds: as for `measures`.
      counts: [resamples, n] whole numbers >= 0; some ten times as much memory is needed for a while.

    Returns:
      `names` to [resamples].

    Raises:
      ValueError: as `measures`.
    """
    y, p = _checked(labels, probabilities)
    counts = np.asarray(counts, np.float64)
    num_classes = p.shape[1]
    if not len(p):
        return {name: np.full(len(counts), np.nan) for name in names(num_classes)}
    predicted = decisions.decide(p, thresholds)
    squares = np.square(p - np.eye(num_classes)[y])
    diagram = calibration.of_samples(y, p)
    # All plain sums in one product: counts [resamples, n] x terms [n, classes^2 + 2 + bins].
    cells, rows = num_classes**2, np.arange(len(p))
    terms = np.zeros((len(p), cells + 2 + calibration.BINS))
    terms[rows, y * num_classes + predicted] = 1.0
    terms[:, cells] = squares[:, 1] if num_classes == 2 else squares.sum(axis=1)
    terms[:, cells + 1] = -np.log(np.maximum(p[rows, y], np.finfo(np.float64).eps))
    terms[rows, cells + 2 + diagram.bins] = diagram.probability - diagram.observed
    sums = counts @ terms
    confusion = sums[:, :cells].reshape(-1, num_classes, num_classes)  # true class, predicted class
    n, right = confusion.sum(axis=(1, 2)), np.diagonal(confusion, axis1=1, axis2=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        recalls = right / confusion.sum(axis=2)
        ranked = {
            label: _ranked(y == label, p[:, label], counts, specificity=specificity)
            for label in _ranked_classes(num_classes)
        }
        if folds is not None and len(set(np.asarray(folds).tolist())) > 1:
            for label, (_, auprc, sensitivity) in ranked.items():
                auroc = _auroc_within(y == label, p[:, label], counts, folds=np.asarray(folds))
                ranked[label] = auroc, auprc, sensitivity
        auroc, auprc = (np.mean([row[i] for row in ranked.values()], axis=0) for i in (0, 1))
        common = {
            "accuracy": right.sum(axis=1) / n,
            "balanced_accuracy": recalls.mean(axis=1),
            "mcc": _correlation(confusion),
            "auroc": auroc,
            "auprc": auprc,
            "brier": sums[:, cells] / n,
            "log_loss": sums[:, cells + 1] / n,
            "ece": np.abs(sums[:, cells + 2 :]).sum(axis=1) / n,
        }
    if num_classes == 2:
        of_two = {
            "sensitivity": recalls[:, 1],
            "specificity": recalls[:, 0],
            "sensitivity_at_specificity": ranked[1][2],
        }
        return {name: {**common, **of_two}[name] for name in MEASURES}
    each = {of_class("recall", label): recalls[:, label] for label in ranked}
    for i, measure in enumerate(("auroc", "auprc")):
        each |= {of_class(measure, label): row[i] for label, row in ranked.items()}
    return {**common, **each}


def by_patient(
    patients: ArrayLike, labels: ArrayLike, probabilities: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gathers slices into patients, by the geometric mean of the probabilities of each class, made to sum to 1.

    Of two classes these are the patient's mean log-odds.

    Args:
      patients: [n] ids.
      labels: [n] in [0, classes), the same for all slices of a patient.
      probabilities: [n, classes] in [0, 1].

    Returns:
      Sorted ids [patients], labels [patients] and probabilities [patients, classes].
    """
    ids, first, where = np.unique(np.asarray(patients).astype(str), return_index=True, return_inverse=True)
    clipped = np.clip(np.asarray(probabilities).astype(np.float64), 1e-6, 1.0 - 1e-6)
    slices = np.bincount(where)
    if clipped.shape[1] == 2:
        log_odds = np.bincount(where, np.log(clipped[:, 1] / (1.0 - clipped[:, 1]))) / slices
        gathered = decisions.two_columns(1.0 / (1.0 + np.exp(-log_odds)))
    else:
        mean = np.exp(np.stack([np.bincount(where, np.log(column)) / slices for column in clipped.T], axis=1))
        gathered = mean / mean.sum(axis=1, keepdims=True)
    alone = slices == 1
    gathered[alone] = clipped[first[alone]]  # rounding would break ties
    return ids, np.asarray(labels)[first], gathered


def patient_log_loss(patients: ArrayLike, labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Log loss per patient (mean log-odds of its slices), each class counting the same.

    Slices of a patient are not independent, so that patients with many would decide alone. Classes count the same
    because studies measure balanced accuracy, and because arms differ in how far they balance the classes: a plain
    mean would hold that against those that do.

    Args:
      patients, labels, probabilities: as for `by_patient`.
    """
    _, truth, p = by_patient(patients, labels, probabilities)
    truth = truth.astype(np.int64)
    losses = -np.log(p[np.arange(len(p)), truth])
    return float(np.mean([losses[truth == label].mean() for label in np.unique(truth)]))


def _checked(labels, probabilities) -> tuple[np.ndarray, np.ndarray]:
    """Labels [n] int64 and probabilities [n, classes] float64."""
    y, p = np.asarray(labels).astype(np.int64), np.asarray(probabilities, np.float64)
    if p.ndim != 2 or p.shape[1] < 2 or y.shape != p.shape[:1]:
        raise ValueError(f"probabilities have shape {p.shape}; give [{len(y)}, classes] for {len(y)} labels")
    if not p.size:
        return y, p
    if not (p.min() >= 0.0 and p.max() <= 1.0 + 1e-6 and np.abs(p.sum(axis=1) - 1.0).max() <= 1e-3):
        raise ValueError(
            f"probabilities run from {p.min()} to {p.max()}, and sum to {p.sum(axis=1).min()} at least; give finite "
            "ones in [0, 1] that sum to 1, as a softmax makes them"
        )
    if y.min() < 0 or y.max() >= p.shape[1]:
        raise ValueError(f"labels run from {y.min()} to {y.max()}, with probabilities of {p.shape[1]} classes")
    return y, p


def _ranked_classes(num_classes: int) -> tuple[int, ...]:
    """Classes that are held against all others: of two, one says it all."""
    return (1,) if num_classes == 2 else tuple(range(num_classes))


def _auroc_within(positive: np.ndarray, p: np.ndarray, counts: np.ndarray, *, folds: np.ndarray) -> np.ndarray:
    """[resamples] share of pairs of one fold, a positive and another sample, that are in order; ties count half."""
    right, pairs = np.zeros(len(counts)), np.zeros(len(counts))
    for fold in np.unique(folds):
        rows = folds == fold
        drawn, scores, of_class = counts[:, rows], p[rows], positive[rows]
        of_fold = drawn[:, of_class].sum(axis=1) * drawn[:, ~of_class].sum(axis=1)
        if of_class.any() and not of_class.all():
            auroc = _ranked(of_class, scores, drawn, specificity=0.0)[0]
            right += np.where(of_fold > 0, auroc, 0.0) * of_fold
            pairs += of_fold
    return right / np.where(pairs > 0, pairs, np.nan)


def _ranked(
    positive: np.ndarray, p: np.ndarray, counts: np.ndarray, *, specificity: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """AUROC, average precision and sensitivity at a specificity of one class, each [resamples]."""
    # At each distinct score as threshold, from the highest down: samples above it, and positive ones among them.
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), p.size - 1)
    ordered = counts[:, order]
    above = ordered.cumsum(axis=1)[:, ends]
    hits = (ordered * positive[order]).cumsum(axis=1)[:, ends]
    alarms = above - hits
    new_hits, new_alarms = hits.copy(), alarms.copy()
    new_hits[:, 1:] -= hits[:, :-1]
    new_alarms[:, 1:] -= alarms[:, :-1]
    positives, negatives = hits[:, -1], alarms[:, -1]
    both = np.where(positives * negatives > 0, positives * negatives, np.nan)
    allowed = (negatives[:, None] - alarms) / negatives[:, None] >= specificity
    return (
        (new_alarms * (hits - new_hits / 2.0)).sum(axis=1) / both,
        (new_hits * hits / np.maximum(above, 1.0)).sum(axis=1) / positives,
        (hits * allowed).max(axis=1) * negatives / both,
    )


def _correlation(confusion: np.ndarray) -> np.ndarray:
    """Matthews' correlation [resamples] of confusion [resamples, true, predicted]; 0 where all are called the same."""
    n, right = confusion.sum(axis=(1, 2)), np.trace(confusion, axis1=1, axis2=2)
    true, called = confusion.sum(axis=2), confusion.sum(axis=1)
    of_true, of_called = (n**2 - np.square(sizes).sum(axis=1) for sizes in (true, called))
    undefined = np.where(of_true > 0, of_true, np.nan)
    product = n * right - (true * called).sum(axis=1)
    return np.where(of_called > 0, product / np.sqrt(undefined * of_called), 0.0 * undefined)
