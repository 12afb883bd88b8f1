"""What the elements of a DICOM file say they hold, against what there is: checked before GDCM takes memory for it."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from rembrandt_featgen.core import file_sizes

_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"}
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
_UNDEFINED = 0xFFFFFFFF  # a length that delimiters say
_ITEM, _ITEM_END, _END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_PIXELS, _SYNTAX = (0x7FE0, 0x0010), (0x0002, 0x0010)
_DEEPEST = 100  # sequences within sequences; GDCM calls itself for each, and has no end
_WINDOW = 2**14  # bytes that are read at once: a header's
_INFLATED = 2**26  # bytes that a small file may become; a slice of 4096 x 4096 pixels has 2**25
IMPLICIT, DEFLATED, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
NATIVE = ("", IMPLICIT, "1.2.840.10008.1.2.1", BIG)  # transfer syntaxes in which nothing is packed


def check_lengths(path: Path) -> None:
    """Walks along the elements of a DICOM file, and looks at their lengths alone.

    Raises:
      ValueError: one says more bytes than there are, sequences nest without end, or it would unpack to far too much.
      OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        data = _Bytes(file)
        at = 132 if data[128:132] == b"DICM" else 0
        at, syntax = _walk(data, at, order="<", explicit=data[at + 4 : at + 6] in _LONG | _SHORT, meta=True)
        order = ">" if syntax == BIG else "<"
        if syntax == DEFLATED:
            _walk(_inflated(data[at:]), 0, order=order, explicit=True)
            return
        explicit = syntax != IMPLICIT if syntax else data[at + 4 : at + 6] in _LONG | _SHORT
        _walk(data, at, order=order, explicit=explicit)


class _Bytes:
    """Bytes of a file by their places, read as they are asked for.

    Were they mapped into memory, a drive that fails, or a file that becomes shorter, would end the process (SIGBUS);
    and not all file systems can.
    """

    def __init__(self, file: BinaryIO):
        self._file, self._size = file, os.fstat(file.fileno()).st_size
        self._start, self._window = 0, b""

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        if start < self._start or stop > self._start + len(self._window):
            self._file.seek(start)
            self._start, self._window = start, self._file.read(max(stop - start, _WINDOW))
        found = self._window[start - self._start : stop - self._start]
        if len(found) < stop - start:
            raise ValueError("it became shorter while it was read")
        return found


def _inflated(data: bytes) -> bytes:
    most = max(_INFLATED, file_sizes.RATIO * len(data)) + 1
    try:
        whole = zlib.decompressobj(-15).decompress(data, most)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    file_sizes.check_unpacked(len(whole), len(data), _INFLATED)
    return whole


def _walk(data: bytes | _Bytes, at: int, *, order: str, explicit: bool, meta: bool = False) -> tuple[int, str]:
    """Goes from element to element, into sequences as if what they hold stood beside them.

    Args:
      data: the file, or what it unpacks to.
      at: where the first element begins.
      order: of bytes, as of `struct`.
      explicit: whether elements say how their values are written.
      meta: stops before the first element that is not of the file's meta group.

    Returns:
      Where the next element begins, and the transfer syntax, if it was met.
    """
    ends: list[int | None] = []  # of the sequences and items around an element; None where delimiters say it
    in_pixels, syntax, unknown = False, "", 0  # unknown: depth of the first sequence of no kind, which is implicit
    while at + 8 <= len(data):
        while ends and ends[-1] is not None and ends[-1] <= at:
            ends.pop()
        unknown = 0 if len(ends) < unknown else unknown
        tag = struct.unpack(order + "HH", data[at : at + 4])
        if meta and tag[0] != _SYNTAX[0]:
            break
        kind, at, length = _head(data, at, order=order, explicit=explicit and not unknown and tag[0] != _ITEM[0])
        if meta and explicit and not kind:
            raise ValueError(f"element ({tag[0]:04x},{tag[1]:04x}) of its meta group is of no kind that DICOM knows")
        if tag in (_ITEM_END, _END):
            ends, in_pixels = ends[:-1], False
        elif length != _UNDEFINED and length > len(data) - at:
            raise ValueError(f"element ({tag[0]:04x},{tag[1]:04x}) says {length} bytes, and there are {len(data) - at}")
        elif length == _UNDEFINED or (not in_pixels and (kind == b"SQ" or tag == _ITEM)):
            ends.append(None if length == _UNDEFINED else at + length)
            in_pixels |= tag == _PIXELS
            unknown = unknown or len(ends) * (kind == b"UN")
            if len(ends) > _DEEPEST:
                raise ValueError(f"sequences and items are nested more than {_DEEPEST} deep")
        else:
            if tag == _SYNTAX:
                syntax = data[at : at + min(length, 64)].decode("ascii", "replace").strip("\0 ")
            at += length
    return at, syntax


def _head(data: bytes | _Bytes, at: int, *, order: str, explicit: bool) -> tuple[bytes, int, int]:
    """How an element's value is written, b"" where it is not said, where the value begins, and its length.

    What is of no known kind is of a long one to GDCM, but for two zeros, which it takes for none; a file in which the
    others are none is read only after that has failed.
    """
    kind = data[at + 4 : at + 6]
    if explicit and kind in _SHORT:
        return kind, at + 8, struct.unpack(order + "H", data[at + 6 : at + 8])[0]
    if explicit and kind != b"\0\0" and at + 12 <= len(data):
        return kind if kind in _LONG else b"", at + 12, struct.unpack(order + "I", data[at + 8 : at + 12])[0]
    return b"", at + 8, struct.unpack(order + "I", data[at + 4 : at + 8])[0]
