"""Finds patients who are in a cohort twice under two names: the leak that no split by patient can prevent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging
from scipy import ndimage

from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.core.errors import InputError

REFUSE, ALLOW = "refuse", "allow"
CHOICES = (REFUSE, ALLOW)  # of --look_alikes
SIDE, DEPTH = 32, 4  # of a fingerprint, in cells
# Correlation: copies whose intensities were scaled and shifted, with 5% noise on top, lie above 0.9996; the most alike
# two of 40 real patients (TCGA-LGG) at 0.907, of 101 phantoms, whose anatomy varies less, at 0.971.
THRESHOLD = 0.995


def fingerprint(image: np.ndarray) -> np.ndarray:
    """What stays of a volume when its scale of intensities is taken away, and fine detail with it.

    Args:
      image: [height, width, slices], any range.

    Returns:
      [SIDE * SIDE * DEPTH] float64 of mean 0 and length 1; all 0 for a constant volume.
    """
    shape = np.array(image.shape, float)
    smooth = ndimage.gaussian_filter(image.astype(np.float64), 0.25 * shape / (SIDE, SIDE, DEPTH))
    small = ndimage.zoom(smooth, np.array([SIDE, SIDE, DEPTH]) / shape, order=1, grid_mode=True, mode="nearest")
    centred = small.ravel() - small.mean()
    length = np.linalg.norm(centred)
    return centred / length if np.ptp(image) > 0 else np.zeros_like(centred)


def find_duplicates(fingerprints: Mapping[str, np.ndarray]) -> list[tuple[str, str, float]]:
    """Pairs of patients whose volumes are the same but for intensity and noise.

    Args:
      fingerprints: patient id to what `fingerprint` returned.

    Returns:
      (id, id, correlation) of each pair above THRESHOLD, the most alike first.
    """
    names = sorted(fingerprints)
    matrix = np.stack([fingerprints[name] for name in names])
    correlation = matrix @ matrix.T
    first, second = np.nonzero(np.triu(correlation > THRESHOLD, 1))
    pairs = [(names[i], names[j], float(correlation[i, j])) for i, j in zip(first, second)]
    return sorted(pairs, key=lambda pair: -pair[2])


def check(
    fingerprints: Mapping[str, np.ndarray],
    patients: Sequence[Patient],
    assignment: Mapping[str, str],
    *,
    allowed: bool = False,
) -> None:
    """Sees to it that no two groups of patients have volumes that look alike: they could be on both sides of a split.

    Args:
      fingerprints: patient id to what `fingerprint` returned.
      patients: all of them; those of one group may look alike, as no split divides it.
      assignment: patient id to split.
      allowed: whether to log what is found, instead.

    Raises:
      InputError: there are such patients, unless that is allowed.
    """
    group = {patient.id: patient.group for patient in patients}
    pairs = [pair for pair in find_duplicates(fingerprints) if group[pair[0]] != group[pair[1]]]
    if not pairs:
        return
    first, second, correlation = pairs[0]
    others = f", and {len(pairs) - 1} more such pairs" if pairs[1:] else ""
    found = (
        f"{first} ({assignment[first]}) and {second} ({assignment[second]}) hold the same volume (correlation "
        f"{correlation:.4f}{others})"
    )
    if not allowed:
        raise InputError(
            f"--cohort: {found}: a patient under two names leaks from training into the test; keep one of the two, "
            "give both one group, or, where you know them to be two patients, give --look_alikes=allow"
        )
    logging.warning("--look_alikes=allow: %s, which would leak if they were one patient", found)
