"""Whether synthetic features come too near to those that their generator was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from rembrandt_featgen.measures import pooled_features

CLOSEST = (0.01, 0.05)  # shares of held-out samples that set the audit's two distances
ERROR = 0.05  # probability of calling a generator that copies nothing a copier


ACROSS = ("share_across_1", "limit_across_1")  # of `Memorisation`, what is of other classes


class Memorisation(NamedTuple):
    """Audit of the distance from synthetic, and from held-out real, samples to the nearest training sample."""

    median_synthetic: float
    median_held_out: float
    median_ratio: float  # of the two
    share_nearer_1: float  # synthetic samples nearer than the closest 1% of held-out ones
    share_nearer_5: float
    limit_1: float  # share_nearer_1 above this is called memorised
    auroc: float  # probability that a synthetic sample is nearer than a held-out one; 0.5 where nothing is memorised
    p_value: float  # one-sided (above 0.5), over held-out patients
    copied_patients: dict[str, int]  # training patients by the samples, of share_nearer_1, that are nearest to them
    memorised: bool
    # share_nearer_1 to training samples of other classes, means of classes aligned; NaN where there is none to compare
    share_across_1: float = np.nan
    limit_across_1: float = np.nan  # share_across_1 above this is called memorised, too


def audit(
    *,
    training: np.ndarray,
    training_patients: np.ndarray,
    held_out: np.ndarray,
    held_out_patients: np.ndarray,
    synthetic: np.ndarray,
    error: float = ERROR,
) -> Memorisation:
    """Audits whether a generator gives back the patients it was trained on.

    What a generator has learnt without copying is as far from the training samples as new patients' samples are. So
    each synthetic sample's distance to the nearest training sample is held against those of held-out patients, in
    which each patient counts as one, whatever its number of samples. A generator collapsed to the middle of the cloud
    can be near to all without copying one: then coverage is low, and no patient stands out in `copied_patients`.
    Classes of unlike spread should be audited one by one, as `audit_of_classes` does.

    `memorised` is said where share_nearer_1 is above the 1 - `error` quantile of what it would be if synthetic samples
    were distributed as those of new patients, and samples within a patient all alike (the worst case: then
    the distance is an order statistic of as many values as there are held-out patients, and the share of m synthetic
    samples below it is beta-binomial). With 5 patients held out that takes nearly half of the samples, with 40 7%.
    The p-value is Mann and Whitney's (normal approximation), for the same worst case with one value for each patient.

    Args:
      training: [n, d], the samples that the generator was trained on.
      training_patients: [n] ids.
      held_out: [h, d], real samples that it was not trained on.
      held_out_patients: [h] ids, none of them a training patient.
      synthetic: [m, d].
      error: probability of calling a generator that copies nothing a copier.

    Returns:
      `Memorisation`; patients most copied first.

    Raises:
      ValueError: features are not finite matrices of as many columns, ids do not fit them, or a patient is in both.

    Reference: Meehan et al. 2020, "A non-parametric test to detect data-copying in generative models", for the ranks;
    Alaa et al. 2022, "How faithful is your synthetic data?", for distances to the nearest training sample.
    """
    training, held_out, synthetic = pooled_features.checked(training, held_out, synthetic, least=1)
    training_patients, held_out_patients = np.asarray(training_patients), np.asarray(held_out_patients)
    if (len(training), len(held_out)) != (len(training_patients), len(held_out_patients)):
        raise ValueError(
            f"{len(training_patients)} and {len(held_out_patients)} patients for {len(training)} training and "
            f"{len(held_out)} held-out samples; give one id for each sample"
        )
    shared = np.intersect1d(training_patients, held_out_patients)
    if shared.size:
        raise ValueError(f"patient {shared[0]} is in training and held out; hold whole patients out")
    synthetic_gaps, nearest = _nearest(synthetic, training)
    held_out_gaps, _ = _nearest(held_out, training)
    ids, where, samples = np.unique(held_out_patients, return_inverse=True, return_counts=True)
    weights = 1.0 / (len(ids) * samples[where])
    closest, half = (_quantile(held_out_gaps, weights, share) for share in (CLOSEST[0], 0.5))
    nearer = synthetic_gaps < closest
    # Of each held-out sample, the share of synthetic ones that are nearer; a tie counts half.
    ordered = np.sort(synthetic_gaps)
    ranks = (np.searchsorted(ordered, held_out_gaps, "left") + np.searchsorted(ordered, held_out_gaps, "right")) / (
        2.0 * len(synthetic)
    )
    auroc = float(np.average(ranks, weights=weights))
    spread = np.sqrt((len(synthetic) + len(ids) + 1) / (12.0 * len(synthetic) * len(ids)))
    rank = int(np.ceil(CLOSEST[0] * len(ids)))
    limit = float(stats.betabinom.ppf(1.0 - error, len(synthetic), rank, len(ids) + 1 - rank)) / len(synthetic)
    middle = float(np.median(synthetic_gaps))
    return Memorisation(
        median_synthetic=middle,
        median_held_out=half,
        median_ratio=middle / half if half else np.nan,
        share_nearer_1=float(nearer.mean()),
        share_nearer_5=float(np.mean(synthetic_gaps < _quantile(held_out_gaps, weights, CLOSEST[1]))),
        limit_1=limit,
        auroc=auroc,
        p_value=float(stats.norm.sf((auroc - 0.5) / spread)),
        copied_patients=dict(Counter(map(str, training_patients[nearest[nearer]])).most_common()),
        memorised=bool(nearer.mean() > limit),
    )


class Labelled(NamedTuple):
    """Samples [n, d] with label [n], and patient [n] of real ones."""

    samples: np.ndarray
    labels: np.ndarray
    patients: np.ndarray | None = None

    def of_class(self, label: int) -> dict:
        """Samples and patients of one class."""
        return self._rows(self.labels == label)

    def of_others(self, label: int) -> dict:
        """Samples and patients of all other classes."""
        return self._rows(self.labels != label)

    def less(self, means: Mapping[int, np.ndarray]) -> Labelled:
        """The deviations from the means [d] of classes, of those that have one."""
        rows = np.isin(self.labels, list(means))
        shifts = np.reshape([means[int(label)] for label in self.labels[rows]], (-1, self.samples.shape[1]))
        patients = None if self.patients is None else self.patients[rows]
        return Labelled(self.samples[rows] - shifts, self.labels[rows], patients)

    def _rows(self, rows):
        return {"samples": self.samples[rows], "patients": None if self.patients is None else self.patients[rows]}


def audit_of_classes(
    training: Labelled, held_out: Labelled, synthetic: Labelled
) -> tuple[Memorisation, dict[int, Memorisation]]:
    """`audit` of each class against real samples of that class, then of the other classes, and all as one.

    Were classes pooled, the samples of a tight class would be near to training by that alone, and copies of a wide one
    be hidden. Across classes, what is compared is deviations from the training patients' means of classes: a generator
    may give a class the deviations of another's patients. There a synthetic sample is a near copy where it is nearer to
    a training sample of another class than both the closest 1% of held-out ones of its class and those of the others:
    classes of unlike spread make none.

    Args:
      training, held_out, synthetic: as for `audit`.

    Returns:
      As one: memorised where any of the n audits within and across classes is at an error of `ERROR` / n; p_value n
      times the smallest, at most 1; the other numbers are means over synthetic samples. And that of each class that has
      samples of all three; where none has, the numbers are NaN, and those across classes where there is no other class.
    """
    parts = {
        int(label): [part.of_class(label) for part in (training, held_out, synthetic)]
        for label in np.unique(synthetic.labels)
    }
    parts = {label: part for label, part in parts.items() if all(len(one["samples"]) for one in part)}
    means = _means_of_patients(training)
    deviations, new, drawn = (part.less(means) for part in (training, held_out, synthetic))
    aligned = {
        label: [deviations.of_others(label), new.of_class(label), new.of_others(label), drawn.of_class(label)]
        for label in parts
    }
    aligned = {label: part for label, part in aligned.items() if all(len(one["samples"]) for one in part)}
    error = ERROR / max(1, len(parts) + len(aligned))
    audits = {label: _audit(*part, error=error) for label, part in parts.items()}
    for label, (real, unseen, others, generated) in aligned.items():
        both = [_audit(real, one, generated, error=error) for one in (unseen, others)]
        across = min(both, key=lambda one: one.share_nearer_1 - one.limit_1)
        within = audits[label]
        audits[label] = within._replace(
            p_value=min(1.0, 2 * min(within.p_value, max(one.p_value for one in both))),
            copied_patients={**within.copied_patients, **(across.copied_patients if across.memorised else {})},
            memorised=within.memorised or across.memorised,
            share_across_1=across.share_nearer_1,
            limit_across_1=across.limit_1,
        )
    counts = [len(part[2]["samples"]) for part in parts.values()]
    averages = {
        name: _average([getattr(one, name) for one in audits.values()], counts, some=name in ACROSS)
        for name in Memorisation._fields
        if name not in ("p_value", "copied_patients", "memorised")
    }
    copied: Counter = Counter()
    for one in audits.values():
        copied.update(one.copied_patients)
    p_values = [one.p_value for one in audits.values()]
    together = Memorisation(
        **averages,
        p_value=min(1.0, len(p_values) * min(p_values)) if p_values else np.nan,
        copied_patients=dict(copied.most_common()),
        memorised=any(one.memorised for one in audits.values()),
    )
    return together, audits


def _average(values: Sequence[float], weights: Sequence[float], *, some: bool) -> float:
    """Weighted mean; NaN of nothing, and where any value is NaN, or with `some` where all are."""
    known = np.isfinite(values) if some else np.ones(len(values), bool)
    return float(np.average(np.array(values)[known], weights=np.array(weights)[known])) if known.any() else np.nan


def _audit(real: Mapping, unseen: Mapping, generated: Mapping, *, error: float) -> Memorisation:
    return audit(
        training=real["samples"],
        training_patients=real["patients"],
        held_out=unseen["samples"],
        held_out_patients=unseen["patients"],
        synthetic=generated["samples"],
        error=error,
    )


def _means_of_patients(training: Labelled) -> dict[int, np.ndarray]:
    """Mean [d] of each class, in which each patient counts as one."""
    means = {}
    for label in np.unique(training.labels):
        part = training.of_class(label)
        _, whose, samples = np.unique(part["patients"], return_inverse=True, return_counts=True)
        means[int(label)] = np.average(part["samples"], axis=0, weights=1.0 / samples[whose])
    return means


def _nearest(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each row of x to the nearest of y, and its index."""
    index = np.concatenate([gaps.argmin(axis=1) for _, gaps in pooled_features.distances(x, y)])
    return np.linalg.norm(x - y[index], axis=1), index  # computed again, as a copy's must be exactly 0


def _quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The smallest value below or at which the weights sum to the share."""
    order = np.argsort(values, kind="stable")
    # A little less than the share: a sum of equal weights may round to just below it.
    return float(values[order][np.searchsorted(np.cumsum(weights[order]), share * (1.0 - 1e-9))])
