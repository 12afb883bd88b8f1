"""The true masks of a split on their volumes' own grids, and where the prepared slices lie in them.

Slices are prepared on another grid than that of their volume (cropped, shrunk); a segmentation is measured on the
volume's own. One compressed file a split, `truth-<split>.npz`, beside the store: a few kilobytes for each patient.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.core import array_files
from rembrandt_featgen.core.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)
class Truth:
    """The true mask of one patient.

    Attributes:
      patient: id.
      mask: [slices, height, width] bool, as displayed, on the grid of the volume.
      box, scaled: of `preparation.Geometry`, [4] and [2] int.
      spacing: [3] mm, of slices, rows and columns.
      areas: [slices] tumour pixels of each prepared slice.
    """

    patient: str
    mask: np.ndarray
    box: np.ndarray
    scaled: np.ndarray
    spacing: np.ndarray
    areas: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class _Packed:
    """A `Truth` whose mask is compressed."""

    truth: Truth
    shape: tuple[int, ...]
    blob: bytes


class TruthWriter:
    """Collects the masks of a split, compressed, and writes them in the end."""

    def __init__(self) -> None:
        self._packed: list[_Packed] = []

    def add(self, truth: Truth) -> None:
        """Takes in a patient; the order is that of the store."""
        blob = zlib.compress(np.packbits(truth.mask.astype(bool)).tobytes())
        self._packed.append(_Packed(dataclasses.replace(truth, mask=np.zeros(0, bool)), truth.mask.shape, blob))

    def write(self, folder: Path, split: str) -> None:
        """Writes `truth-<split>.npz`."""
        truths = [packed.truth for packed in self._packed]
        np.savez_compressed(
            _path(folder, split),
            patients=np.array([truth.patient for truth in truths], str),
            shapes=np.array([packed.shape for packed in self._packed], np.int64).reshape(-1, 3),
            lengths=np.array([len(packed.blob) for packed in self._packed], np.int64),
            masks=np.frombuffer(b"".join(packed.blob for packed in self._packed), np.uint8),
            boxes=_stacked([truth.box for truth in truths], np.int32, 4),
            scaled=_stacked([truth.scaled for truth in truths], np.int32, 2),
            spacings=_stacked([truth.spacing for truth in truths], np.float64, 3),
            areas=np.concatenate([np.zeros(0, np.int64), *(truth.areas for truth in truths)]).astype(np.int64),
        )


def truths(folder: Path, split: str) -> Iterator[Truth]:
    """The patients of a split, in the order of the store.

    Args:
      folder: of the stage prepare_slices.
      split: train, validation or test.

    Raises:
      InputError: the file is missing or damaged.
    """
    arrays = _read(folder, split)
    ends = np.cumsum(arrays["lengths"])
    last = np.cumsum(arrays["shapes"][:, 0])
    for number, patient in enumerate(arrays["patients"]):
        shape = tuple(arrays["shapes"][number])
        blob = arrays["masks"][ends[number] - arrays["lengths"][number] : ends[number]].tobytes()
        bits = _bits(blob, math.prod(shape), _path(folder, split))
        yield Truth(
            patient=str(patient),
            mask=bits.reshape(shape).astype(bool),
            box=arrays["boxes"][number],
            scaled=arrays["scaled"][number],
            spacing=arrays["spacings"][number],
            areas=arrays["areas"][last[number] - shape[0] : last[number]],
        )


def write_part(folder: Path, split: str, *, source: tuple[Path, str], patients: Sequence[str]) -> None:
    """Writes `truth-<split>.npz` of some patients of another such file.

    Args:
      folder: where it is written.
      split: of the name.
      source: folder and split of the other file.
      patients: in the order in which they are written; all must be in it.

    Raises:
      InputError: as `truths`.
    """
    arrays = _read(*source)
    places = {str(patient): number for number, patient in enumerate(arrays["patients"])}
    chosen = [places[patient] for patient in patients]
    depths = arrays["shapes"][:, 0]
    part = {name: arrays[name][chosen] for name in ("patients", "shapes", "lengths", "boxes", "scaled", "spacings")}
    part["masks"] = _pieces(arrays["masks"], arrays["lengths"], chosen)
    part["areas"] = _pieces(arrays["areas"], depths, chosen)
    np.savez_compressed(_path(folder, split), **part)


def _pieces(values: np.ndarray, lengths: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """Those of the pieces that `values` are made of, one after the other."""
    ends = np.cumsum(lengths)
    return np.concatenate([values[:0], *(values[ends[number] - lengths[number] : ends[number]] for number in chosen)])


def areas(folder: Path, split: str) -> np.ndarray:
    """Tumour pixels of each prepared slice, [n] int64, in the order of the store; errors as for `truths`."""
    return _read(folder, split)["areas"]


def spacings(folder: Path, split: str) -> np.ndarray:
    """Spacing of each volume of slices, rows and columns, [patients, 3] mm; errors as for `truths`."""
    return _read(folder, split)["spacings"]


def _path(folder: Path, split: str) -> Path:
    return Path(folder) / f"truth-{split}.npz"


def _read(folder: Path, split: str) -> dict[str, np.ndarray]:
    path = _path(folder, split)
    try:
        arrays = array_files.read_npz(path)
        _check(arrays)
        return arrays
    except (ValueError, KeyError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path} is missing or damaged; delete {path.parent} so that its stage is done again (stages of version 0.1 "
        "have no such file)"
    )


def _check(arrays: dict[str, np.ndarray]) -> None:
    """ValueError or KeyError where arrays are missing, or do not belong together."""
    count = len(arrays["patients"])
    for name, width in (("shapes", 3), ("boxes", 4), ("scaled", 2), ("spacings", 3), ("lengths", 0)):
        if arrays[name].shape != ((count, width) if width else (count,)) or arrays[name].dtype.kind not in "if":
            raise ValueError(f"{name} is no array of {count} patients")
    for name, sizes in (("masks", arrays["lengths"]), ("areas", arrays["shapes"][:, 0])):
        whole = arrays[name].ndim == 1 and sizes.dtype.kind == "i" and (sizes >= 0).all()
        if not whole or sum(sizes.tolist()) != len(arrays[name]):
            raise ValueError(f"{name} is not as long as the patients' parts of it")
    if (arrays["shapes"] < 0).any() or arrays["masks"].dtype != np.uint8 or arrays["patients"].dtype.kind != "U":
        raise ValueError("an array has another type")


def _bits(blob: bytes, count: int, path: Path) -> np.ndarray:
    """[count] uint8 in {0, 1} of a packed mask; InputError where it has another size."""
    size = -(-count // 8)
    unpacker = zlib.decompressobj()
    try:
        # no more is taken than a mask of that size needs, whatever the header says
        packed = unpacker.decompress(blob, size + 1)
        if len(packed) != size or not unpacker.eof:
            raise ValueError(f"a mask of {count} voxels has another size")
    except (zlib.error, ValueError, OverflowError) as error:
        raise _damaged(path) from error
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count)


def _stacked(rows: Sequence[np.ndarray], dtype, columns: int) -> np.ndarray:
    return np.array(rows, dtype).reshape(-1, columns)
