"""Numbers that describe a tumour by its mask: shape, intensities inside and around, and place.

Shape is measured on the volume's own grid, by SimpleITK's label statistics (surface: Lehmann and Legland 2012, Insight
Journal; roundness is what radiomics calls sphericity) and, within the slice that has most tumour, by scikit-image's
region properties. What a mask without tumour does not have is NaN; its volume is 0.
"""

from __future__ import annotations

import numpy as np
import SimpleITK
from scipy import ndimage, stats

_OF_VOLUME = (
    "volume",
    "surface",
    "sphericity",
    "elongation",
    "flatness",
    "depth",
    "height",
    "width",
    "parts",
    "slices",
)
SHAPE = (*_OF_VOLUME, "area", "solidity", "eccentricity", "irregularity")
_PERCENTILES = (5, 25, 50, 75, 95)
_INSIDE = ("mean", "deviation", *(f"percentile_{share}" for share in _PERCENTILES), "skewness", "kurtosis")
INTENSITY = (*_INSIDE, "surround", "contrast", "core", "edge")
LOCATION = ("depth", "row", "column", "off_midline")
_SHELL = 3  # pixels around a tumour that are its surround


def shape_numbers(mask: np.ndarray, spacing: np.ndarray) -> dict[str, float]:
    """The shape of a tumour.

    Args:
      mask: [slices, height, width] bool, on the volume's grid.
      spacing: [3] mm between slices, rows and columns; or ones, and lengths are in voxels.

    Returns:
      SHAPE: volume (mm^3) and surface (mm^2); sphericity, 1 for a ball; elongation and flatness, ratios of principal
      axes, the longest to the middle one and the middle one to the shortest; depth, height and width of its box (mm);
      parts that do not touch; slices that have tumour; and of the slice with most of it: area (mm^2), solidity (share
      of its convex hull), eccentricity, irregularity (perimeter by that of a disc of its area).
    """
    from skimage import measure  # here, for bundles for GPU machines leave it out

    numbers = dict.fromkeys(SHAPE, np.nan)
    if not mask.any():
        return {**numbers, "volume": 0.0, "parts": 0.0, "slices": 0.0}
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    small, steps = mask[box], np.asarray(spacing, float)
    image = SimpleITK.GetImageFromArray(np.pad(small, 1).astype(np.uint8))
    image.SetSpacing([float(step) for step in steps[::-1]])  # SimpleITK's axes are numpy's in reverse
    label = SimpleITK.LabelShapeStatisticsImageFilter()
    label.SetNumberOfWorkUnits(1)  # threads take longer to start than a tumour to count
    label.Execute(image)
    areas = small.sum((1, 2))
    extents = np.array(small.shape) * steps
    numbers |= {
        "volume": label.GetPhysicalSize(1),
        "surface": label.GetPerimeter(1),
        "sphericity": label.GetRoundness(1),
        "elongation": label.GetElongation(1),
        "flatness": label.GetFlatness(1),
        "depth": extents[0],
        "height": extents[1],
        "width": extents[2],
        "parts": ndimage.label(small, np.ones((3, 3, 3)))[1],
        "slices": (areas > 0).sum(),
        "area": areas.max() * steps[1] * steps[2],
    }
    region = measure.regionprops(np.pad(small[areas.argmax()], 1).astype(np.uint8))[0]
    numbers["eccentricity"] = region.eccentricity
    numbers["irregularity"] = region.perimeter_crofton / (2.0 * np.sqrt(np.pi * region.area))
    if min(small.shape[1:]) > 2:  # qhull needs some width
        numbers["solidity"] = region.solidity
    return _finite(numbers)


def intensity_numbers(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Intensities inside a tumour and around it.

    Args:
      image: [slices, height, width], normalised.
      mask: [slices, height, width] bool on the same grid.

    Returns:
      INTENSITY: mean, deviation, percentiles, skewness and excess kurtosis inside; the mean of a surround of 3 pixels
      within each slice, and how far the mean inside lies above it (contrast); how far the half of the tumour that is
      deeper in lies above the other half (core); and the mean gradient at the border, for a pixel (edge).
    """
    numbers = dict.fromkeys(INTENSITY, np.nan)
    if not mask.any():
        return numbers
    used = np.flatnonzero(mask.any((1, 2)))
    image, mask = image[used[0] : used[-1] + 1].astype(np.float64), mask[used[0] : used[-1] + 1]
    inside = image[mask]
    numbers |= {"mean": inside.mean(), "deviation": inside.std()}
    percentiles = np.percentile(inside, _PERCENTILES)
    numbers |= {f"percentile_{share}": value for share, value in zip(_PERCENTILES, percentiles)}
    if np.ptp(inside) > 0:
        numbers |= {"skewness": stats.skew(inside), "kurtosis": stats.kurtosis(inside)}
    in_plane = ndimage.generate_binary_structure(3, 1) & np.array([False, True, False])[:, None, None]
    shell = ndimage.binary_dilation(mask, in_plane, _SHELL) & ~mask
    if shell.any():
        numbers["surround"] = image[shell].mean()
        numbers["contrast"] = numbers["mean"] - numbers["surround"]
    depths = np.stack([ndimage.distance_transform_edt(np.pad(one, 1))[1:-1, 1:-1] for one in mask])[mask]
    deeper = depths > np.median(depths)
    if deeper.any() and not deeper.all():
        numbers["core"] = inside[deeper].mean() - inside[~deeper].mean()
    border = mask & ~ndimage.binary_erosion(mask, in_plane)
    gradients = np.gradient(image, axis=(1, 2))
    numbers["edge"] = np.hypot(*gradients)[border].mean()
    return _finite(numbers)


def location_numbers(mask: np.ndarray, box: np.ndarray) -> dict[str, float]:
    """Where a tumour lies.

    Args:
      mask: [slices, height, width] bool.
      box: [4] top, left, height and width of the head or body on the same grid.

    Returns:
      LOCATION: the centroid's depth as a share of the volume's slices, its row and column as shares of the box, and how
      far the column is from the middle of the box, 1 at its sides.
    """
    if not mask.any():
        return dict.fromkeys(LOCATION, np.nan)
    top, left, height, width = (float(value) for value in box)
    depth, row, column = (positions.mean() + 0.5 for positions in np.nonzero(mask))
    across = (column - left) / width
    shares = (depth / len(mask), (row - top) / height, across, abs(2.0 * across - 1.0))
    return _finite(dict(zip(LOCATION, shares)))


def _finite(numbers: dict) -> dict[str, float]:
    return {name: float(value) if np.isfinite(value) else np.nan for name, value in numbers.items()}
