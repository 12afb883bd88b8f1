"""How volumes are read: what is done where the files of a patient lie apart, and along which axes, at which spacing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from rembrandt_featgen.cohort.geometry import AXES
from rembrandt_featgen.core.errors import InputError

GEOMETRIES = ("refuse", "resample", "voxels")
SLICE_AXES = (*AXES, "auto")
_SIDES = (0.05, 100.0)  # mm, of a voxel


@dataclasses.dataclass(frozen=True)
class Reading:
    """How volumes are read.

    Attributes:
      geometry: what is done with an image or a mask that lies elsewhere in space than the patient's first image: one
        of `GEOMETRIES`. "refuse"; "resample" brings it onto the grid of the first; "voxels" ignores its header, and
        takes its voxels for those of the first, one by one.
      slice_axis: one of `SLICE_AXES`: the plane of the slices; "auto" is that in which a volume was acquired.
      spacing: [3] mm, along the rows and columns of a slice and between slices, that all are brought to; () leaves
        them as they are.
    """

    geometry: str = "refuse"
    slice_axis: str = "axial"
    spacing: tuple[float, ...] = ()

    @classmethod
    def of_record(cls, record: Mapping | None) -> Reading:
        """The same from JSON; as it was read before there was a choice, where nothing is recorded."""
        return cls(**{**record, "spacing": tuple(record["spacing"])}) if record else cls()

    @classmethod
    def of_flags(cls, flags: Mapping) -> Reading:
        """The same from values of the flags --geometry, --slice_axis and --spacing, as far as they are there."""
        given = {name: flags[name] for name in ("geometry", "slice_axis") if name in flags}
        return cls(**given, spacing=parse_spacing(flags.get("spacing", ())))

    def for_new(self, geometry: str) -> Reading:
        """How new patients of a model are read whose training patients were read so.

        Args:
          geometry: one of `GEOMETRIES`, or "auto": resampled where the training patients' were, else refused. That
            headers of theirs were wrong does not make those of others so.
        """
        if geometry == "auto":
            geometry = "resample" if self.geometry == "resample" else "refuse"
        return dataclasses.replace(self, geometry=geometry)


AS_STORED = Reading()


def parse_spacing(texts: Sequence[str]) -> tuple[float, ...]:
    """The numbers of --spacing; InputError where they are none."""
    texts = [texts] if isinstance(texts, str) else list(texts)  # an earlier version recorded a text
    if not any(texts):
        return ()
    given = f"--spacing={','.join(texts)}"
    if texts in (["auto"], ["real"], ["unknown"]):
        now = {"auto": "auto", "real": "yes", "unknown": "no"}[texts[0]]
        raise InputError(f"{given}: whether the files' spacing is real is said by --trust_spacing={now} now")
    try:
        sides = tuple(float(text) for text in texts)
    except ValueError:
        sides = ()
    if len(sides) != 3 or not all(math.isfinite(side) and _SIDES[0] <= side <= _SIDES[1] for side in sides):
        raise InputError(
            f"{given}: give three numbers of mm, {_SIDES[0]:g} to {_SIDES[1]:g}, along the rows and columns of a slice "
            "and between slices, such as 1,1,5; or leave it out"
        )
    return sides
