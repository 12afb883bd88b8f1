"""The error of an AUROC that was measured on some number of patients, before anything else is known of it.

Reference: Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating characteristic (ROC)
curve"; Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2",
for intervals of it that hold near 1.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

_NEAR = 1e-9  # of the measured value, where the equation below has a second root if that is 0 or 1


def auroc_error(positives: int, negatives: int, auroc: float) -> float:
    """Standard error of a true AUROC's estimate.

    Args:
      positives, negatives: number of patients of either class, above 0.
      auroc: the true one, 0 to 1.
    """
    both, one = auroc / (2.0 - auroc), 2.0 * auroc**2 / (1.0 + auroc)
    variance = auroc * (1 - auroc) + (positives - 1) * (both - auroc**2) + (negatives - 1) * (one - auroc**2)
    return float(np.sqrt(max(variance, 0.0) / (positives * negatives)))


def auroc_interval(positives: int, negatives: int, auroc: float) -> tuple[float, float]:
    """95% interval: the true values whose error the measured one lies within.

    Args:
      positives, negatives: number of patients of either class, above 0.
      auroc: as measured, 0 to 1.
    """
    z = float(stats.norm.ppf(0.975))

    def outside(true: float) -> float:
        return abs(auroc - true) - z * auroc_error(positives, negatives, true)

    low = optimize.brentq(outside, 0.0, auroc - _NEAR) if auroc > _NEAR else 0.0
    high = optimize.brentq(outside, auroc + _NEAR, 1.0) if auroc < 1.0 - _NEAR else 1.0
    return float(low), float(high)
