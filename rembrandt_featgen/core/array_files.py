"""Arrays of .npz and .npy files, whoever wrote them: without pickle, and never larger than is plausible."""

from __future__ import annotations

import math
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from rembrandt_featgen.core import file_sizes, system_errors
from rembrandt_featgen.core.errors import InputError

_OF_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, RuntimeError, MemoryError)
_OF_HEADERS = (SyntaxError, TypeError, OverflowError, AttributeError, IndexError, tokenize.TokenError)
_DAMAGES = _OF_ZIP + _OF_HEADERS
_PIECE = 2**22
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: str | Path, most: int = file_sizes.TABLE_BYTES) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, by name.

    Args:
      path: of the file.
      most: bytes that they take, whatever the size of the file; see `file_sizes`.

    Raises:
      ValueError: it is missing, damaged, holds Python objects or something else than arrays, or would take more memory.
    """
    try:
        with Path(path).open("rb") as file:
            if file.read(6) == b"\x93NUMPY":
                raise ValueError("it is a single array")
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for one in members):
                raise ValueError("it is packed in a way that numpy does not use")
            file_sizes.check_unpacked(sum(one.file_size for one in members), Path(path).stat().st_size, most)
            arrays = {}
            for one in members:
                with archive.open(one) as file:
                    arrays[one.filename.removesuffix(".npy")] = _array(file, one.file_size)
            return arrays
    except _DAMAGES as error:
        system_errors.raise_of_drive(error)
        raise ValueError(_reason(error)) from error


def read_npy(path: str | Path) -> np.ndarray:
    """The array of an .npy file; errors as for `read_npz`."""
    try:
        with Path(path).open("rb") as file:
            return _array(file, Path(path).stat().st_size)
    except _DAMAGES as error:
        system_errors.raise_of_drive(error)
        raise ValueError(_reason(error)) from error


def read_own(path: Path) -> np.ndarray:
    """The array of an .npy file of this program; InputError where it is missing or damaged."""
    try:
        return read_npy(path)
    except ValueError as error:
        raise _of_own(path, error) from error


def read_own_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file of this program; InputError where it is missing or damaged."""
    try:
        return read_npz(path)
    except ValueError as error:
        raise _of_own(path, error) from error


def _of_own(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is missing or damaged ({error}); delete {path.parent} to redo it")


def _array(file: IO[bytes], held: int) -> np.ndarray:
    """The array of an .npy file that has so many bytes; no memory is taken before its shape was compared with them."""
    version = np.lib.format.read_magic(file)
    if version not in _READERS:  # (3, 0) is for names of fields, which no plain array has
        raise ValueError(f"unknown .npy version {version}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a header is Python 2's is no news to the user
        shape, fortran, dtype = _READERS[version](file)
    if dtype.hasobject or dtype.kind not in "biufcSU":
        raise ValueError(f"it holds an array of {dtype}, not of numbers or text")
    count = math.prod(shape)
    if any(side < 0 for side in shape) or count * dtype.itemsize != held - file.tell():
        raise ValueError(f"an array of shape {shape} and {dtype} has {held - file.tell()} bytes: damaged")
    array = np.empty(count, dtype)
    blob = array.view(np.uint8) if array.nbytes else np.empty(0, np.uint8)
    filled = 0
    while filled < array.nbytes:
        piece = file.read(min(_PIECE, array.nbytes - filled))
        if not piece:
            raise ValueError("it ends in the middle")
        blob[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    if dtype.kind == "U" and _is_no_text(array):
        raise ValueError("it holds text that is none")
    return array.reshape(shape, order="F" if fortran else "C")


def _is_no_text(array: np.ndarray) -> bool:
    """Whether a letter is none of Unicode: Python cannot hold it, or no file of text can."""
    if not array.nbytes:
        return False
    codes = array.view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
    return bool(((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any())


def _reason(error: BaseException) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
