"""Whether a volume is like the training volumes: shape of its intensities, size, spacing.

Intensities are described by the share of foreground and quantiles of it (`preparation.describe`). A volume's distance
is the root mean square of its description's deviations from the training volumes' mean, in units of their standard
deviations. It is unlike them beyond 1.5 times the largest distance of a training volume from the others. How often it
warns of volumes with nothing wrong, and of others: see README.md of this room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_INTENSITY_MARGIN = 1.5
_RANGE_MARGIN = 1.25  # sizes and spacings may lie outside those of training by this factor
_LEAST_SPREAD = 0.05  # of a description's entry: those of a few volumes can agree by chance
_AXES = ("slices", "height", "width")


def familiarity(
    descriptions: Sequence[np.ndarray], *, shapes: Sequence[Sequence[int]], spacings: Sequence[np.ndarray]
) -> dict:
    """What is kept of the training volumes to compare others with; JSON can hold it.

    Args:
      descriptions: [channels, entries] of each volume, of `preparation.describe`.
      shapes: slices, height and width of each volume.
      spacings: [3] mm of slices, rows and columns of each volume.
    """
    rows = np.array([np.ravel(description) for description in descriptions], np.float64)
    distances = [
        _distance(row, *_centre(np.delete(rows, number, 0))) if len(rows) > 2 else 0.0
        for number, row in enumerate(rows)
    ]
    mean, spread = _centre(rows)
    return {
        "mean": mean.tolist(),
        "spread": spread.tolist(),
        "distance": max(distances),
        "shapes": [np.min(shapes, 0).tolist(), np.max(shapes, 0).tolist()],
        "spacings": [np.min(spacings, 0).tolist(), np.max(spacings, 0).tolist()],
        "volumes": len(rows),
    }


def unlike(kept: Mapping, description: np.ndarray, *, shape: Sequence[int], spacing: np.ndarray) -> list[str]:
    """In which ways a volume is unlike the training volumes, a plain clause each; empty if in none.

    Args:
      kept: of `familiarity`.
      description, shape, spacing: of the volume, as for `familiarity`.
    """
    reasons = []
    distance = _distance(np.ravel(description), np.array(kept["mean"]), np.array(kept["spread"]))
    limit = _INTENSITY_MARGIN * kept["distance"]
    if kept["volumes"] > 2 and distance > limit:
        reasons.append(
            f"its intensities are distributed unlike those of the training volumes (distance {distance:.1f}, of these "
            f"{kept['distance']:.1f} at most): is it the same sequence, prepared in the same way?"
        )
    for axis, value, low, high in zip(_AXES, shape, *kept["shapes"]):
        if not low / _RANGE_MARGIN <= value <= high * _RANGE_MARGIN:
            reasons.append(f"its {axis} are {value}, those of the training volumes {_range(low, high)}")
    for axis, value, low, high in zip(_AXES, spacing, *kept["spacings"]):
        if not low / _RANGE_MARGIN <= value <= high * _RANGE_MARGIN:
            name = "spacing of slices" if axis == "slices" else f"pixel {axis}"
            reasons.append(f"its {name} is {value:.3g} mm, that of the training volumes {_range(low, high)} mm")
    return reasons


def _centre(rows):
    """Mean and standard deviation of each entry."""
    return rows.mean(0), np.maximum(rows.std(0), _LEAST_SPREAD)


def _distance(row, mean, spread) -> float:
    return float(np.sqrt(np.mean(((row - mean) / spread) ** 2)))


def _range(low: float, high: float) -> str:
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
