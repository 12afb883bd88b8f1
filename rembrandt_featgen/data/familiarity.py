"""Whether a volume is like the training volumes: shape of its intensities, size, spacing.

Intensities are described by the share of foreground and quantiles of it (`preparation.describe`). A volume's distance
is Mahalanobis', with a covariance shrunk as Ledoit and Wolf (2004) do; it is unlike the training volumes where that is
beyond 95% of the distances that these have from one another, each left out in turn. How often that warns of volumes
with nothing wrong, and of others, is measured in this room's README.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.covariance import LedoitWolf

_USUAL = 0.95  # of the training volumes lie within the limit
_LEAST_VOLUMES = 6  # that can be compared with
_RANGE_MARGIN = 1.25  # sizes and spacings may lie outside those of training by this factor
_LEAST_SPREAD = 0.02  # of a description's entry: those of a few volumes can agree by chance
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
    if len(rows) < _LEAST_VOLUMES:
        centre, limit = {}, 0.0
    else:
        left_out = [_distance(row, _centre(np.delete(rows, number, 0))) for number, row in enumerate(rows)]
        centre, limit = _centre(rows), float(np.quantile(left_out, _USUAL))
    return {
        **centre,
        "limit": limit,
        "shapes": [np.min(shapes, 0).tolist(), np.max(shapes, 0).tolist()],
        "spacings": [np.min(spacings, 0).tolist(), np.max(spacings, 0).tolist()],
        "volumes": len(rows),
    }


def unlike(kept: Mapping, description: np.ndarray, *, shape: Sequence[int], spacing: np.ndarray | None) -> list[str]:
    """In which ways a volume is unlike the training volumes, a plain clause each; empty if in none.

    Args:
      kept: of `familiarity`.
      description, shape, spacing: of the volume, as for `familiarity`; None where the training volumes' is not real.
    """
    reasons = []
    if kept["volumes"] >= _LEAST_VOLUMES and (distance := _distance(np.ravel(description), kept)) > kept["limit"]:
        reasons.append(
            f"its intensities are distributed unlike those of the training volumes (distance {distance:.1f}; 95% of "
            f"these are within {kept['limit']:.1f}): is it the same sequence, prepared in the same way?"
        )
    for axis, value, low, high in zip(_AXES, shape, *kept["shapes"]):
        if not low / _RANGE_MARGIN <= value <= high * _RANGE_MARGIN:
            reasons.append(f"its {axis} are {value}, those of the training volumes {_range(low, high)}")
    return reasons + ([] if spacing is None else unlike_spacing(kept, spacing))


def unlike_spacing(kept: Mapping, spacing: np.ndarray) -> list[str]:
    """In which ways the spacing of a volume, [3] mm, is unlike that of the training volumes; args as for `unlike`."""
    reasons = []
    for axis, value, low, high in zip(_AXES, spacing, *kept["spacings"]):
        if not low / _RANGE_MARGIN <= value <= high * _RANGE_MARGIN:
            name = "spacing of slices" if axis == "slices" else f"pixel {axis}"
            reasons.append(f"its {name} is {value:.3g} mm, that of the training volumes {_range(low, high)} mm")
    return reasons


def _centre(rows) -> dict:
    """Mean, spread and precision, of the entries divided by their spread, as lists."""
    mean, spread = rows.mean(0), np.maximum(rows.std(0), _LEAST_SPREAD)
    precision = LedoitWolf(assume_centered=True).fit((rows - mean) / spread).precision_
    return {"mean": mean.tolist(), "spread": spread.tolist(), "precision": precision.tolist()}


def _distance(row, centre: Mapping) -> float:
    """Mahalanobis' distance, divided by the root of the number of entries."""
    scaled = (row - np.array(centre["mean"])) / np.array(centre["spread"])
    return float(np.sqrt(scaled @ np.array(centre["precision"]) @ scaled / len(scaled)))


def _range(low: float, high: float) -> str:
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
