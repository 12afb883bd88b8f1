"""Where voxels lie in space: grids, their corners, axes and spacing, and what brings voxels from one grid to another.

Affines lead from voxel indices to mm, x to the patient's right, y to the front, z up (RAS+), as in NIfTI. Nothing here
reads a file.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from rembrandt_featgen.cohort import nifti_files, spacing

# Where the three axes of an array lead, so that [:, :, k] is a slice whose rows and columns are shown as they should
# (`data.slicing.as_displayed`): anterior or superior on top, the patient's right or front on the left.
AXES = {"axial": "RAS", "coronal": "RSA", "sagittal": "ASR"}
THICK = 1.5  # times the next: the axis with such voxels is that across which slices were acquired
_SHARP = 0.05  # voxels; a Gaussian narrower than that is left out


class Grid(NamedTuple):
    """Voxels in space: how many along each axis, [3], and the affine [4, 4] from their indices to mm."""

    shape: tuple[int, ...]
    affine: np.ndarray

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, ml."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0


def corners(grid: Grid) -> np.ndarray:
    """The 8 outer corners of a grid, [8, 3] mm, in the order of its axes."""
    ends = [(-0.5, size - 0.5) for size in grid.shape]
    indices = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    return indices @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def distance(one: Grid, other: Grid) -> float:
    """The greatest distance between corresponding corners, mm."""
    return float(np.linalg.norm(corners(one) - corners(other), axis=1).max())


def tolerance(grid: Grid) -> float:
    """How far, in mm, the corners of another grid may lie from those of a grid: half of its voxels' smallest side."""
    return float(spacing.of_affine(grid.affine).min()) / 2.0


def alike(one: Grid, other: Grid) -> bool:
    """Whether each voxel of `other` lies where that of `one` does, to half a voxel."""
    return tuple(one.shape) == tuple(other.shape) and distance(one, other) <= tolerance(one)


def differences(grid: Grid, other: Grid) -> list[str]:
    """In which ways a grid is another than `other`, a clause each; none where they are `alike`."""
    found = []
    if tuple(grid.shape) != tuple(other.shape):
        found.append(f"its shape is {tuple(grid.shape)}, not {tuple(other.shape)}")
    if (apart := distance(grid, other)) > (least := tolerance(other)):
        found.append(f"its corners lie up to {apart:.3g} mm from those of the other ({least:.2g} mm pass)")
    return found


def axes_of(orientation: np.ndarray) -> str:
    """Where the axes of a file lead, to the nearest, such as "LPS"; of `nifti_files.Turned.orientation`."""
    return "".join(("LPI", "RAS")[int(flip > 0)][int(axis)] for axis, flip in orientation)


def is_default(affine: np.ndarray) -> bool:
    """Whether an affine is one that is written where none was given: no origin, and axes to the right, front and up.

    Or those of ITK, to the left, back and up; of any spacing.
    """
    matrix = affine[:3, :3]
    signs = np.sign(np.diag(matrix)).tolist()
    plain = np.array_equal(matrix, np.diag(np.diag(matrix))) and signs in ([1, 1, 1], [-1, -1, 1])
    return plain and not affine[:3, 3].any()


def acquired_plane(affine: np.ndarray) -> str:
    """The plane of `AXES` across whose normal voxels are thickest; "axial" where none is `THICK` times the next."""
    sides = spacing.of_affine(nifti_files.turned(np.zeros((1, 1, 1)), affine).affine)
    thickest = int(np.argmax(sides))
    if sides[thickest] < THICK * np.sort(sides)[1]:
        return "axial"
    return ("sagittal", "coronal", "axial")[thickest]


def at_spacing(grid: Grid, sides: tuple[float, ...]) -> Grid:
    """The grid with the same centre and directions whose voxels have other sides, and which is about as large.

    Args:
      grid: of any spacing.
      sides: [3] mm, in the order of its axes.
    """
    before, wanted = spacing.of_affine(grid.affine), np.asarray(sides, float)
    shape = tuple(int(max(round(size), 1)) for size in np.array(grid.shape) * before / wanted)
    matrix = grid.affine[:3, :3] * (wanted / before)
    centre = grid.affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2.0) + grid.affine[:3, 3]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, centre - matrix @ ((np.array(shape) - 1) / 2.0)
    return Grid(shape, affine)


def share_outside(mask: np.ndarray, grid: Grid, other: Grid) -> float:
    """Share of a mask's voxels, above 0 in an array on `grid`, whose centres lie outside of another grid; 0 of none."""
    if tuple(grid.shape) == tuple(other.shape) and np.array_equal(grid.affine, other.affine):
        return 0.0
    to_other = np.linalg.inv(other.affine) @ grid.affine
    places = np.argwhere(mask) @ to_other[:3, :3].T + to_other[:3, 3]
    outside = ((places < -0.5) | (places > np.array(other.shape) - 0.5)).any(1)
    return float(outside.mean()) if len(outside) else 0.0


def resampled(voxels: np.ndarray, affine: np.ndarray, onto: Grid, *, nearest: bool = False) -> np.ndarray:
    """Brings voxels onto another grid; those of the same grid are returned as they are.

    By linear interpolation, after a Gaussian along axes that become coarser (a standard deviation of half of what a
    step grows by, as scikit-image has it), or by the nearest neighbour.

    Args:
      voxels: [x, y, z] of a type that SimpleITK knows.
      affine: [4, 4] from their indices to mm.
      onto: the other grid.
      nearest: whether values are labels, of which no other may come out.

    Returns:
      The same of `onto.shape`; what lies outside of `voxels` is their least value, 0 for labels.
    """
    if tuple(voxels.shape) == tuple(onto.shape) and np.array_equal(affine, onto.affine):
        return voxels
    matrix = np.linalg.inv(affine) @ onto.affine  # from indices of `onto` to those of `voxels`
    if not nearest:
        for axis, step in enumerate(np.abs(matrix[:3, :3]).max(1)):
            if (deviation := (step - 1.0) / 2.0) > _SHARP:
                voxels = ndimage.gaussian_filter1d(voxels, deviation, axis, mode="nearest")
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    # In indices, not in mm: SimpleITK's directions must be at right angles, those of an affine need not be.
    sampler = sitk.ResampleImageFilter()
    sampler.SetSize([int(size) for size in onto.shape])
    sampler.SetTransform(transform)
    sampler.SetInterpolator(sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear)
    sampler.SetDefaultPixelValue(0.0 if nearest else float(voxels.min()))
    found = sampler.Execute(sitk.GetImageFromArray(np.ascontiguousarray(voxels.T)))
    return np.ascontiguousarray(sitk.GetArrayFromImage(found).T)
