"""Grids in space, against positions by hand and scipy."""

import numpy as np
import pytest
import scipy.ndimage
from scipy.spatial.transform import Rotation

from rembrandt_featgen.cohort import geometry, spacing
from rembrandt_featgen.cohort.geometry import Grid

SHAPE = (12, 10, 8)


def affine(sides=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), turn=None):
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = (np.eye(3) if turn is None else turn) * np.array(sides), origin
    return found


def about_centre(matrix, grid):
    """The grid after a linear map of space that leaves its centre where it is."""
    centre = grid.affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2) + grid.affine[:3, 3]
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = matrix, centre - matrix @ centre
    return Grid(grid.shape, moved @ grid.affine)


def positions(grid):
    """[x, y, z, 3] mm of all voxels."""
    indices = np.stack(np.meshgrid(*(np.arange(size) for size in grid.shape), indexing="ij"), -1)
    return indices @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def test_corners_by_hand():
    found = geometry.corners(Grid((2, 3, 4), affine((1, 2, 5), (10, 20, 30))))
    assert {tuple(corner) for corner in found.tolist()} == {
        (x, y, z) for x in (9.5, 11.5) for y in (19.0, 25.0) for z in (27.5, 47.5)
    }


def test_distances_by_hand():
    grid = Grid((240, 240, 155), affine())
    assert geometry.distance(grid, grid) == 0
    shifted = Grid(grid.shape, affine(origin=(30, 0, 0)))
    assert geometry.distance(grid, shifted) == pytest.approx(30)
    angle = np.deg2rad(2)  # a corner moves on a circle of half the diagonal of a slice
    turned = about_centre(Rotation.from_euler("z", angle).as_matrix(), grid)
    assert geometry.distance(grid, turned) == pytest.approx(2 * np.sin(angle / 2) * np.hypot(120, 120))
    scaled = about_centre(np.diag([1.05, 1.05, 1.05]), grid)
    assert geometry.distance(grid, scaled) == pytest.approx(0.05 * np.sqrt(120**2 + 120**2 + 77.5**2))
    flipped = Grid(grid.shape, np.diag([-1.0, -1.0, 1.0, 1.0]))
    assert geometry.distance(grid, flipped) == pytest.approx(np.hypot(479, 479))


@pytest.mark.parametrize(("shift", "passes"), [(0.22, True), (0.23, False)])
def test_half_of_the_smallest_side_passes(shift, passes):
    grid = Grid(SHAPE, affine((0.45, 0.45, 5)))
    other = Grid(SHAPE, affine((0.45, 0.45, 5), (0, 0, shift)))
    assert geometry.tolerance(grid) == pytest.approx(0.225)
    assert geometry.alike(grid, other) == passes
    assert bool(geometry.differences(other, grid)) != passes
    assert not geometry.alike(grid, Grid((12, 10, 9), grid.affine))


def test_differences_are_said():
    shape, corners = geometry.differences(Grid((12, 10, 9), affine()), Grid(SHAPE, affine()))
    assert shape == "its shape is (12, 10, 9), not (12, 10, 8)"
    assert corners == "its corners lie up to 1 mm from those of the other (0.5 mm pass)"


def test_what_is_linear_in_space_stays_so_on_another_grid():
    """Exact by linear interpolation, wherever the grids overlap; outside is the least value."""
    turn = Rotation.from_euler("xyz", [10, -5, 20], degrees=True).as_matrix()
    one = Grid((30, 30, 20), affine((1, 1, 2), (-15, -15, -20)))
    other = about_centre(turn, Grid(SHAPE, affine((0.9, 0.8, 1), (-4, -3, -5))))
    slope = np.array([1.0, -2.0, 3.0])
    voxels = (positions(one) @ slope + 100).astype(np.float32)
    found = geometry.resampled(voxels, one.affine, other)
    assert found.dtype == np.float32
    assert found.shape == SHAPE
    np.testing.assert_allclose(found, positions(other) @ slope + 100, rtol=1e-4)
    far = geometry.resampled(voxels, one.affine, Grid(SHAPE, affine(origin=(500, 0, 0))))
    assert (far == voxels.min()).all()


def test_resampling_agrees_with_scipy():
    voxels = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    turn = Rotation.from_euler("z", 7, degrees=True).as_matrix()
    onto = about_centre(turn, Grid(SHAPE, affine((0.8, 0.8, 0.8))))
    for nearest, order in ((False, 1), (True, 0)):
        given = (voxels > 0).astype(np.uint8) if nearest else voxels
        found = geometry.resampled(given, np.eye(4), onto, nearest=nearest)
        wanted = scipy.ndimage.affine_transform(
            given, onto.affine[:3, :3], onto.affine[:3, 3], SHAPE, order=order, mode="grid-constant", cval=given.min()
        )
        inside = (positions(onto) > 0.01).all(-1) & (positions(onto) < np.array(SHAPE) - 1.01).all(-1)
        assert inside.mean() > 0.3
        assert found.dtype == given.dtype
        if nearest:  # half-way voxels are rounded one way or the other
            assert (found[inside] == wanted[inside]).mean() > 0.99
        else:
            np.testing.assert_allclose(found[inside], wanted[inside], atol=1e-4)


def test_a_flipped_grid_is_exact():
    voxels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    flipped = affine((-1, 1, 1), (1, 0, 0))
    np.testing.assert_array_equal(geometry.resampled(voxels, np.eye(4), Grid((2, 3, 4), flipped)), voxels[::-1])


def test_what_becomes_coarser_is_smoothed_first():
    """Stripes of a voxel each become grey, and not all black or all white."""
    stripes = np.zeros((64, 4, 4), np.float32)
    stripes[::2] = 1
    grid = geometry.at_spacing(Grid(stripes.shape, np.eye(4)), (4.0, 1.0, 1.0))
    assert grid.shape == (16, 4, 4)
    np.testing.assert_allclose(geometry.resampled(stripes, np.eye(4), grid)[2:-2], 0.5, atol=0.02)


def test_another_spacing_keeps_centre_and_directions():
    turn = Rotation.from_euler("xyz", [10, -5, 20], degrees=True).as_matrix()
    grid = Grid((100, 80, 20), affine((0.5, 0.5, 5), (3, 4, 5), turn))
    found = geometry.at_spacing(grid, (1.0, 1.0, 3.0))
    assert found.shape == (50, 40, 33)
    np.testing.assert_allclose(spacing.of_affine(found.affine), [1, 1, 3])
    np.testing.assert_allclose(geometry.corners(found).mean(0), geometry.corners(grid).mean(0))
    np.testing.assert_allclose(found.affine[:3, :3] / [1, 1, 3], turn, atol=1e-12)


@pytest.mark.parametrize(
    ("matrix", "default"),
    [
        (np.eye(4), True),
        (np.diag([0.5, 0.5, 3.0, 1.0]), True),
        (np.diag([-1.0, -1.0, 1.0, 1.0]), True),  # of ITK
        (np.diag([-1.0, 1.0, 1.0, 1.0]), False),
        (affine(origin=(0, 0, 1)), False),
        (affine(turn=Rotation.from_euler("z", 1, degrees=True).as_matrix()), False),
    ],
)
def test_affines_that_are_written_where_none_was_given(matrix, default):
    assert geometry.is_default(matrix) == default


@pytest.mark.parametrize(
    ("sides", "plane"),
    [
        ((1, 1, 5), "axial"),
        ((1, 5, 1), "coronal"),
        ((5, 0.9, 0.9), "sagittal"),
        ((1, 1, 1), "axial"),
        ((1.4, 1, 1), "axial"),  # not thick enough
        ((1.5, 1, 1), "sagittal"),
        ((5, 1, 5), "axial"),  # two are thick
    ],
)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_plane_that_was_acquired(sides, plane, order):
    """Whatever the order of the axes in the file."""
    matrix = np.diag([*sides, 1.0])[:, [*order, 3]]
    assert geometry.acquired_plane(matrix) == plane
    matrix[:, 0] *= -1
    assert geometry.acquired_plane(matrix) == plane
