"""Renders a phantom patient: a FLAIR-like volume, other modalities of it, and the mask of its lesion.

Lengths are in half-widths of the slice, and random fields live on grids that do not depend on the number of pixels, so
that a patient has the same anatomy at any size.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

# Other modalities show what FLAIR shows through a curve of their own: the intensity of fluid, white matter and lesion,
# which are _KNOTS in FLAIR without noise. They show no more of the lesion than FLAIR does.
_KNOTS = (0.22, 1.0, 1.6)
_CURVES = {"t1": (0.5, 1.0, 0.7), "t1ce": (0.5, 1.0, 1.5), "t2": (1.8, 1.0, 1.6)}
MODALITIES = ("flair", *_CURVES)


def render(
    generator: np.random.Generator,
    drawn: Mapping[str, float],
    *,
    size: int,
    slices: int,
    modalities: Sequence[str] = ("flair",),
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Renders a patient.

    Args:
      generator: source of the random fields.
      drawn: the parameters, of both `phantom.draw_look` and `phantom.draw_anatomy`.
      size: pixels along x and y.
      slices: along z.
      modalities: some of MODALITIES.

    Returns:
      Modality to image [size, size, slices] int16, 0 outside the brain; and the mask, uint8 in {0, 1}. The mask is
      where the lesion outweighs the brain, and takes in the necrotic core.
    """
    grid = _grid(size, slices)
    tissue, inside = _brain(generator, drawn, grid)
    blend, lesion = _lesion(generator, drawn, grid, inside=inside)
    clean = tissue * (1 - blend) + lesion * blend
    clean *= np.exp(drawn["bias"] * _field(generator, grid, 0.8))
    images = {}
    for modality in sorted(modalities, key=MODALITIES.index):  # FLAIR's noise is drawn first, whatever follows
        shown = np.interp(clean, _KNOTS, _CURVES[modality]) if modality in _CURVES else clean
        real, imaginary = drawn["noise"] * generator.standard_normal((2, *clean.shape))
        image = drawn["scale"] * np.hypot(shown + real, imaginary) * inside  # Rician, as in magnitude images
        images[modality] = np.rint(image).astype(np.int16)
    return images, ((blend > 0.5) & inside).astype(np.uint8)


class _Grid(NamedTuple):
    """Positions of the voxels' centres, in half-widths.

    Attributes:
      axes: [size], [size] and [slices], along x, y and z.
      x, y, z: the same as [size, 1, 1], [1, size, 1] and [1, 1, slices].
    """

    axes: Sequence[np.ndarray]
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray


@functools.lru_cache(maxsize=8)  # a cohort has one, and its patients are rendered one by one
def _grid(size: int, slices: int) -> _Grid:
    side = (2 * np.arange(size) + 1) / size - 1
    axes = [side, side, np.linspace(-1, 1, slices)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    return _Grid(axes, x=x, y=y, z=z)


def _brain(generator, drawn, grid):
    """Intensity of the healthy brain, 1 in white matter, and where the brain is."""
    x, y, z = grid.x, grid.y, grid.z
    height = 1 - 0.12 * (z + 0.2) ** 2  # slices shrink towards the vertex and the base
    length = drawn["half_length"] * np.where(y > 0, 1.03, 0.97)  # the frontal pole is the longer one
    radius = ((np.abs(x) / drawn["half_width"]) ** 2.2 + (np.abs(y) / length) ** 2.2) ** (1 / 2.2) / height
    radius = radius + 0.025 * _field(generator, grid, 0.25)
    inside = radius < 1
    # Sulci run where a random field changes sign, deeper here and shallower there; grey matter, 1.3, lines them.
    folds = _field(generator, grid, 0.045)
    depth = _step(radius - 0.76 + 0.08 * _field(generator, grid, 0.12), 0.05)
    ribbon = np.maximum(np.exp(-((folds / 0.75) ** 2)) * depth, _step(radius - 0.95, 0.02))
    tissue = 1 + 0.3 * ribbon + 0.05 * _field(generator, grid, 0.10) + 0.03 * _field(generator, grid, 0.03)
    nuclei = _step(1 - np.hypot((np.abs(x) - 0.30) / 0.09, (y - 0.12) / 0.17), 0.1)
    tissue = tissue + 0.15 * nuclei * _step(0.6 - z, 0.1)
    sulci = np.exp(-((folds / 0.2) ** 2)) * depth**2
    midline = x + 0.012 * _field(generator, grid, 0.4)
    fissure = np.exp(-((midline / 0.012) ** 2)) * _step(np.abs(y) - 0.36, 0.04)
    ventricles = _ventricles(drawn["ventricle"], x=midline, y=y, z=z) + 0.12 * _field(generator, grid, 0.12)
    rim = drawn["rim"] * np.exp(-((ventricles / 0.35) ** 2)) * (0.7 + 0.3 * np.tanh(_field(generator, grid, 0.15)))
    tissue = tissue + rim + _spots(generator, drawn["spots"], grid)
    fluid = np.maximum(np.maximum(0.75 * sulci, 0.8 * fissure), _step(ventricles, 0.08))
    return tissue * (1 - fluid) + 0.22 * fluid, inside


def _ventricles(scale, *, x, y, z):
    """Above 0 inside two crescents beside the midline, whose horns spread towards front and back."""
    along = y / (scale * 0.36 * (1 - 0.2 * z))
    beside = scale * (0.05 + 0.10 * along**2)
    wide = scale * 0.05 * (1 - 0.3 * z) * (1 + 0.35 * np.tanh(2 * along))
    return 1 - np.sqrt(((np.abs(x) - beside) / wide) ** 2 + along**4)


def _spots(generator, count, grid):
    """White-matter hyperintensities: small, bright, and no tumour."""
    spots = 0.0
    for _ in range(int(count)):
        centre, at = generator.uniform([0.12, -0.5, -1], [0.40, 0.5, 1]), generator.choice([-1, 1])
        distance = ((grid.x - at * centre[0]) ** 2 + (grid.y - centre[1]) ** 2) / generator.uniform(0.015, 0.035) ** 2
        spots = spots + generator.uniform(0.4, 0.9) * np.exp(-distance - ((grid.z - centre[2]) / 0.25) ** 2)
    return spots


def _lesion(generator, drawn, grid, *, inside):
    """How far the lesion replaces the brain, in [0, 1], and its intensity."""
    cosine, sine = np.cos(drawn["angle"]), np.sin(drawn["angle"])
    dx, dy = grid.x - drawn["side"] * drawn["centre_x"], grid.y - drawn["centre_y"]
    dz = grid.z - drawn["centre_z"]
    guess = np.sqrt(4 * drawn["area"] / np.pi)  # radius of a disc of this area, in half-widths
    along, across = (cosine * dx + sine * dy) * drawn["elongation"], (cosine * dy - sine * dx) / drawn["elongation"]
    plain = np.sqrt((along**2 + across**2) / guess**2 + (dz / drawn["reach"]) ** 2)
    border = 0.8 * _field(generator, grid, 0.12) + 0.6 * _field(generator, grid, 0.05)
    radius = plain + drawn["irregularity"] * border * np.minimum(plain, 1.2)
    # Scaled so that the area is as drawn where the lesion is largest, however irregular it is.
    middle = int(np.argmin(np.abs(dz)))
    shown = inside[:, :, middle]
    wanted = np.ceil(drawn["area"] * shown.size)
    radius = radius / np.sort(radius[:, :, middle][shown])[int(min(wanted, shown.sum()) - 1)]
    blend = _step(1 - radius, drawn["softness"])
    core = _step(drawn["necrosis"] - plain * (1 + 0.25 * _field(generator, grid, 0.08)) - 0.05 * border, 0.06)
    texture = 0.8 * _field(generator, grid, 0.07) + 0.6 * _field(generator, grid, 0.03)
    bright = 1 + drawn["contrast"] + drawn["texture"] * texture
    return blend, np.maximum(bright * (1 - core) + 0.5 * core, 0.2)


def _step(distance, width):
    """From 0 to 1 where `distance` goes through 0, over some `width` to either side."""
    return 0.5 + 0.5 * np.tanh(distance / width)


def _field(generator, grid, grain):
    """A smooth Gaussian random field of mean 0 and deviation 1.

    It sums bumps around the knots of a grid, as high as the noise there; the grid is the same whatever the pixels.
    """
    weights = _weights(len(grid.axes[0]), len(grid.axes[2]), grain)
    field = generator.standard_normal([weight.shape[1] for weight in weights])
    for weight in weights:
        field = np.tensordot(field, weight, (0, 1))  # [a, b, c] -> [b, c, voxels of a]: after three, in order again
    return field


@functools.lru_cache(maxsize=64)
def _weights(size, slices, grain):
    """How much each knot weighs at each position along x, y and z; patients of a cohort have them in common."""
    weights = []
    for axis, spacing in zip(_grid(size, slices).axes, (grain, grain, 0.5)):
        knots = np.linspace(-1.2, 1.2, int(np.ceil(2.4 / spacing)) + 1)
        weight = np.exp(-0.5 * ((axis[:, None] - knots) / spacing) ** 2)
        weights.append(weight / np.linalg.norm(weight, axis=1, keepdims=True))  # unit variance at each voxel
    return weights
