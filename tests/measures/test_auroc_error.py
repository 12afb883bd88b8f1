"""Intervals of an AUROC hold the true one as often as they say, near 1 as well."""

import numpy as np
import pytest
from scipy import stats

from rembrandt_featgen.measures.auroc_error import auroc_error, auroc_interval


@pytest.mark.parametrize("auroc", [0.0, 0.5, 0.8, 0.95, 1.0])
def test_ends_are_where_the_measured_value_lies_1_96_errors_away(auroc):
    low, high = auroc_interval(8, 20, auroc)
    assert 0 <= low <= auroc <= high <= 1 and high - low > 0.1
    for end in (low, high):
        if 0 < end < 1:
            assert abs(end - auroc) == pytest.approx(1.959964 * auroc_error(8, 20, end), abs=1e-6)


def test_few_patients_who_are_told_apart_wholly_prove_little():
    assert auroc_interval(5, 5, 1.0)[0] < 0.75
    assert auroc_interval(50, 50, 1.0)[0] > 0.93


@pytest.mark.parametrize("true", [0.5, 0.9])
def test_covers(true):
    random, covered = np.random.default_rng(0), []
    for _ in range(400):
        positives, negatives = random.normal(np.sqrt(2) * stats.norm.ppf(true), 1, 8), random.normal(0, 1, 12)
        auroc = float((positives[:, np.newaxis] > negatives).mean())
        low, high = auroc_interval(8, 12, auroc)
        covered.append(low <= true <= high)
    assert 0.92 <= np.mean(covered) <= 0.99
