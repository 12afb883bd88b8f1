"""Samples for the tests of final models."""

import numpy as np


def cohort(n=80, seed=0, shift=1.5):
    random = np.random.default_rng(seed)
    y = np.arange(n) % 4 == 0
    x = random.normal(size=(n, 6)).astype(np.float32)
    x[:, 0] += shift * y
    x[::9, 1] = np.nan
    return x, np.where(y, "b", "a")
