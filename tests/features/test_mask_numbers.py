import numpy as np
import pytest
from scipy import ndimage

from rembrandt_featgen.features.mask_numbers import (
    INTENSITY,
    LOCATION,
    SHAPE,
    intensity_numbers,
    location_numbers,
    shape_numbers,
)


def ball(radius, shape=(40, 40, 40), spacing=(1.0, 1.0, 1.0)):
    """A ball of a radius in mm in the middle of a volume."""
    grids = np.meshgrid(*(s * (np.arange(n) - (n - 1) / 2) for n, s in zip(shape, spacing)), indexing="ij")
    return sum(grid**2 for grid in grids) <= radius**2


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.5, 0.5)])
def test_a_ball(spacing):
    shape = tuple(int(40 / step) for step in spacing)
    numbers = shape_numbers(ball(12.3, shape, spacing), np.array(spacing))
    assert tuple(numbers) == SHAPE
    assert numbers["volume"] == pytest.approx(4 / 3 * np.pi * 12.3**3, rel=0.01)
    assert numbers["surface"] == pytest.approx(4 * np.pi * 12.3**2, rel=0.03)
    assert numbers["sphericity"] == pytest.approx(1, abs=0.03)
    assert numbers["elongation"] == pytest.approx(1, abs=0.02)
    assert numbers["flatness"] == pytest.approx(1, abs=0.02)
    assert [numbers[name] for name in ("depth", "height", "width")] == pytest.approx([24] * 3, abs=2)
    assert (numbers["parts"], numbers["slices"]) == (1, pytest.approx(24 / spacing[0], abs=1))
    assert numbers["area"] == pytest.approx(np.pi * 12.3**2, rel=0.02)
    assert numbers["solidity"] > 0.95
    assert numbers["eccentricity"] < 0.2
    assert numbers["irregularity"] == pytest.approx(1, abs=0.03)


def test_a_box_and_a_speck():
    mask = np.zeros((12, 30, 60), bool)
    mask[1:4, 5:15, 10:50] = True
    mask[10, 28, 1] = True
    numbers = shape_numbers(mask, np.array([3.0, 1.0, 2.0]))
    assert numbers["volume"] == (3 * 10 * 40 + 1) * 6
    assert (numbers["parts"], numbers["slices"], numbers["area"]) == (2, 4, 800)
    assert (numbers["depth"], numbers["height"], numbers["width"]) == (30, 24, 98)
    assert numbers["solidity"] == 1
    # moments of inertia of n voxels in a row: (n^2 - 1) / 12
    alone = shape_numbers(mask & (np.arange(12) < 4)[:, None, None], np.ones(3))
    assert alone["eccentricity"] == pytest.approx(np.sqrt(1 - (10**2 - 1) / (40**2 - 1)))
    assert alone["elongation"] == pytest.approx(np.sqrt((40**2 - 1) / (10**2 - 1)))
    assert alone["flatness"] == pytest.approx(np.sqrt((10**2 - 1) / (3**2 - 1)))


@pytest.mark.parametrize("mask", [ball(1.5), ball(0.9), np.eye(40, dtype=bool)[None].repeat(1, 0)])
def test_small_masks_have_numbers_or_nan(mask):
    numbers = shape_numbers(mask, np.ones(3))
    assert numbers["volume"] == mask.sum()
    assert all(np.isfinite(value) or np.isnan(value) for value in numbers.values())
    assert set(intensity_numbers(np.random.default_rng(0).normal(size=mask.shape), mask)) == set(INTENSITY)


def test_without_tumour():
    nothing = np.zeros((3, 8, 8), bool)
    numbers = shape_numbers(nothing, np.ones(3))
    assert (numbers.pop("volume"), numbers.pop("parts"), numbers.pop("slices")) == (0, 0, 0)
    assert np.isnan(list(numbers.values())).all()
    assert np.isnan(list(intensity_numbers(np.ones((3, 8, 8)), nothing).values())).all()
    assert np.isnan(list(location_numbers(nothing, np.array([0, 0, 8, 8])).values())).all()


def test_intensities_inside():
    random = np.random.default_rng(0)
    mask = np.zeros((5, 40, 40), bool)
    mask[1:4, 10:30, 10:30] = True
    image = np.where(mask, random.gamma(2.0, 1.0, mask.shape), 0.25)
    image[:, :4] = 99.0  # farther away than the surround
    numbers = intensity_numbers(image.astype(np.float32), mask)
    inside = image[mask]
    assert tuple(numbers) == INTENSITY
    assert numbers["mean"] == pytest.approx(inside.mean(), rel=1e-5)
    assert numbers["deviation"] == pytest.approx(inside.std(), rel=1e-5)
    assert numbers["percentile_5"] == pytest.approx(np.percentile(inside, 5), rel=1e-5)
    assert numbers["percentile_95"] == pytest.approx(np.percentile(inside, 95), rel=1e-5)
    assert numbers["skewness"] == pytest.approx(((inside - inside.mean()) ** 3).mean() / inside.std() ** 3, rel=1e-4)
    assert numbers["kurtosis"] == pytest.approx(
        ((inside - inside.mean()) ** 4).mean() / inside.std() ** 4 - 3, rel=1e-4
    )
    assert numbers["surround"] == pytest.approx(0.25)
    assert numbers["contrast"] == pytest.approx(inside.mean() - 0.25, rel=1e-5)


def test_a_dark_core_and_a_soft_border():
    mask = ball(15)
    bright = np.where(ball(8), 1.0, np.where(mask, 2.0, 0.0))
    hard = intensity_numbers(bright, mask)
    soft = intensity_numbers(ndimage.gaussian_filter(bright, (0, 3, 3)), mask)
    assert hard["core"] < -0.2
    assert abs(intensity_numbers(np.where(mask, 2.0, 0.0), mask)["core"]) < 1e-6
    assert soft["edge"] < 0.5 * hard["edge"]
    constant = intensity_numbers(np.ones((40, 40, 40)), mask)
    assert np.isnan([constant["skewness"], constant["kurtosis"]]).all()


def test_place_within_the_head():
    mask = np.zeros((10, 50, 60), bool)
    mask[2, 20, 40] = True
    numbers = location_numbers(mask, np.array([10, 20, 40, 30]))
    assert tuple(numbers) == LOCATION
    assert list(numbers.values()) == pytest.approx([2.5 / 10, 10.5 / 40, 20.5 / 30, 2 * 20.5 / 30 - 1])
    mirrored = location_numbers(mask[:, :, ::-1], np.array([10, 60 - 20 - 30, 40, 30]))
    assert mirrored["off_midline"] == pytest.approx(numbers["off_midline"])
    assert mirrored["column"] == pytest.approx(1 - numbers["column"])
