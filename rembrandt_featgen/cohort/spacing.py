"""Whether the spacing that a cohort's files give is that of its voxels, so that mm and ml mean something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.core.errors import InputError

CHOICES = ("auto", "yes", "no")  # of the flag --trust_spacing
_FULL_HEIGHT = 100  # slices of 1 mm; a head or more. BraTS, resampled to 1 mm, has 155
_TOLERANCE = 1e-3  # mm; rounding of the affine


class Judgement(NamedTuple):
    """Whether the spacing is real, and in words why (not)."""

    real: bool
    why: str


def of_affine(affine: np.ndarray) -> np.ndarray:
    """mm between neighbouring voxels along each axis, [3], of an affine [4, 4] from voxel indices to mm."""
    return np.linalg.norm(np.asarray(affine, float)[:3, :3], axis=0)


def check_resampling(spacing: Sequence[str], judgement: Judgement) -> None:
    """InputError where --spacing resamples volumes of a spacing that is not real.

    Args:
      spacing: the flag's values; none where nothing is resampled.
      judgement: on the spacing of the files.
    """
    if spacing and not judgement.real:
        raise InputError(
            f"--spacing={','.join(spacing)} resamples by the files' spacing, which is not known: {judgement.why}; "
            "leave --spacing out, or give --trust_spacing=yes where it is"
        )


def judge(spacings: Sequence[np.ndarray], shapes: Sequence[tuple[int, ...]], choice: str = "auto") -> Judgement:
    """Whether a cohort's spacing is real.

    What writes a file without knowing its spacing writes 1 x 1 x 1 mm. So a cohort of which every volume has that is
    of unknown spacing, unless its volumes are as high as a head in slices of 1 mm: half of them or more have at least
    100 slices, as volumes have that were resampled to 1 mm (BraTS: 155). A volume of 20 slices of 1 mm would be 2 cm
    high. A single volume with another spacing shows that the writer knew it.

    Args:
      spacings: [3] mm of each volume, as `of_affine` gives it.
      shapes: [3] of each volume, axial slices last.
      choice: one of `CHOICES`; "yes" and "no" overrule the files.

    Returns:
      The judgement; not real for no volumes at all.
    """
    if choice != "auto":
        return Judgement(choice == "yes", f"--trust_spacing={choice} says so")
    if not len(spacings):
        return Judgement(False, "there are no volumes")
    if not np.allclose(np.array(spacings, float), 1.0, rtol=0, atol=_TOLERANCE):
        return Judgement(True, "not all voxels are 1 x 1 x 1 mm, which is what is written for an unknown spacing")
    slices = float(np.median([shape[2] for shape in shapes]))
    if slices >= _FULL_HEIGHT:
        return Judgement(True, f"all voxels are 1 x 1 x 1 mm, and the median volume has {slices:g} slices, a head's")
    return Judgement(
        False,
        f"all files say 1 x 1 x 1 mm, but the median volume has only {slices:g} slices: so it is written where the "
        "spacing is not known (--trust_spacing=yes overrules it)",
    )
