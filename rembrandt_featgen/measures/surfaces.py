"""Distances between the surfaces of two masks, in mm.

A surface is the voxels of a mask of which one of the six face neighbours lies outside it (or outside the volume); a
distance is that of a surface voxel's centre to the nearest one of the other mask's surface, found by SimpleITK's exact
Euclidean distance map (Maurer, Qi and Raghavan 2003, IEEE TPAMI 25(2):265-270). Both directions are pooled.

Which measures, and their pitfalls: Maier-Hein, Reinke et al. 2024, "Metrics reloaded", Nature Methods 21:195-212. Their
code's 95% Hausdorff distance is the greater of the two directed percentiles; here, as in medpy, it is the percentile of
both directions pooled, which is no larger (but for interpolation).
"""

from __future__ import annotations

import numpy as np
import SimpleITK

SURFACE_MEASURES = ("hausdorff95_mm", "surface_distance_mm")


def surface_measures(truth: np.ndarray, predicted: np.ndarray, spacing: np.ndarray) -> dict[str, float]:
    """How far two masks' surfaces are from one another.

    A volume that was missed altogether has no distance. So read dice beside these measures, and the number of volumes
    that they are over: a network that finds only the easy volumes has small distances.

    Args:
      truth, predicted: [x, y, slices] masks on the same grid, in {0, 1}.
      spacing: [3] mm between neighbours along each axis.

    Returns:
      "hausdorff95_mm": 95th percentile of the distances of all surface voxels of both masks; "surface_distance_mm":
      their mean, the average symmetric surface distance. Both NaN where either mask is empty.

    Raises:
      ValueError: shapes differ or are not 3-D, or the spacing is not three numbers above 0.
    """
    truth, predicted, steps = np.asarray(truth) > 0, np.asarray(predicted) > 0, np.asarray(spacing, float)
    if truth.shape != predicted.shape or truth.ndim != 3:
        raise ValueError(f"masks have shapes {truth.shape} and {predicted.shape}; two of one 3-D shape are needed")
    if steps.shape != (3,) or not (np.isfinite(steps).all() and (steps > 0).all()):
        raise ValueError(f"spacing {spacing} is not three numbers above 0")
    if not (truth.any() and predicted.any()):
        return dict.fromkeys(SURFACE_MEASURES, np.nan)
    box = _box(truth | predicted)
    first, second = (_surface(mask[box]) for mask in (truth, predicted))
    found = np.concatenate([_distances(first, second, steps), _distances(second, first, steps)])
    return dict(zip(SURFACE_MEASURES, (float(np.percentile(found, 95)), float(found.mean()))))


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds a mask [x, y, slices]; distances within it are those in the whole volume."""
    found = []
    for axis in range(mask.ndim):
        used = np.flatnonzero(mask.any(tuple(other for other in range(mask.ndim) if other != axis)))
        found.append(slice(used[0], used[-1] + 1))
    return tuple(found)


def _surface(mask: np.ndarray) -> np.ndarray:
    """The voxels of a mask that have a face neighbour outside, in a frame of one voxel, which closes its edges."""
    image = SimpleITK.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
    return SimpleITK.GetArrayFromImage(SimpleITK.BinaryContour(image, fullyConnected=False)) > 0


def _distances(start: np.ndarray, end: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """mm from each voxel of one surface to the nearest voxel of another, [voxels of the first]."""
    image = SimpleITK.GetImageFromArray(end.astype(np.uint8))
    image.SetSpacing([float(step) for step in spacing[::-1]])  # SimpleITK's axes are numpy's in reverse
    # A surface has no voxel without a neighbour outside it: distances to its border are distances to all of it.
    distances = SimpleITK.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return np.abs(SimpleITK.GetArrayViewFromImage(distances)[start])
