"""Bytes of weight files: TensorLayer's `.npz` checkpoints and this program's `best.npz`, whoever wrote them.

`tl.files.save_npz` keeps a network's weights as ONE pickled object array `params`, and a pickle from a stranger is a
program. This reader runs nothing of it: only the instructions that arrays need are let through, every name that the
pickle asks for is answered by a stand-in of this module, and numpy sees bytes of checked length.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.core import system_errors
from rembrandt_featgen.core.errors import InputError

MAX_BYTES = 2**30  # of a file, and of what it unpacks to; the paper's U-Net has 138 MB of weights
_MAX_INSTRUCTIONS = 20_000  # of a pickle; 46 arrays take some 1500
_FLOATS = ("f2", "f4", "f8")
_NDARRAY = "numpy.ndarray"  # not callable: a pickle can name the class, not use it
# What numpy's pickles of arrays consist of, from Python 2 to numpy 2. Without dictionaries, objects by NEWOBJ or INST,
# persistent ids and extension codes, a pickle can change no stand-in and reach nothing else.
_OPCODES = """
    PROTO FRAME STOP MARK GLOBAL STACK_GLOBAL REDUCE BUILD MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET NONE NEWTRUE
    NEWFALSE BININT BININT1 BININT2 LONG1 SHORT_BINBYTES BINBYTES BINBYTES8 SHORT_BINSTRING BINSTRING BINUNICODE
    SHORT_BINUNICODE BINUNICODE8 EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS
"""


class Checkpoint(NamedTuple):
    """What a weight file holds.

    Attributes:
      arrays: float arrays in the file's order.
      digest: SHA-256 of the file.
    """

    arrays: list[np.ndarray]
    digest: str


def read(path: Path, flag: str = "--unet_weights") -> Checkpoint:
    """Reads a checkpoint of `tl.files.save_npz` (TensorLayer 1 or 2, Python 2 or 3) or a `best.npz` of this program.

    Args:
      path: the file.
      flag: by which the user gave it, for the message.

    Raises:
      InputError: it is missing, damaged, something else, or holds anything but arrays of floats.

    Reference: https://docs.python.org/3/library/pickle.html#restricting-globals
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        return Checkpoint(_arrays(content), hashlib.sha256(content).hexdigest())
    except Exception as error:  # zip, numpy and pickle each raise exceptions of different kinds
        system_errors.raise_of_drive(error)
        reason = " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())[:300]
        raise InputError(
            f"{flag}={path}: cannot take weights from this file ({reason}); give an .npz that TensorLayer's "
            "tl.files.save_npz wrote, or the unet/best.npz or export/unet_tensorlayer.npz of a run"
        ) from error


def given(path: str, modalities: Sequence[str]) -> Checkpoint | None:
    """What --unet_weights holds; None without it, and InputError for --unet_weights_modalities without it."""
    if not path and modalities:
        raise InputError(
            f"--unet_weights_modalities={','.join(modalities)} names the channels of --unet_weights, which is not "
            "given; give both or neither"
        )
    return read(Path(path)) if path else None


def write(path: Path, arrays: Sequence[np.ndarray]) -> None:
    """Writes `arrays` as `tl.files.save_npz` does, for `tl.files.load_npz` and `load_and_assign_npz`.

    Args:
      path: a name that ends in .npz.
      arrays: in the order of the network's layers, of each layer kernel, then bias.
    """
    params = np.empty(len(arrays), dtype=object)  # np.array(arrays, dtype=object) would nest arrays of one shape
    for index, array in enumerate(arrays):
        params[index] = np.asarray(array)
    np.savez(path, params=params)


def _arrays(content: bytes) -> list[np.ndarray]:
    """The float arrays of an .npz file's bytes."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > MAX_BYTES:
            raise ValueError(f"it would unpack to more than {MAX_BYTES} bytes")
        if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
            raise ValueError("it is packed in a way that numpy does not use")
        names = [member.filename for member in members]
        if names == ["params.npy"]:
            return _params(archive.read("params.npy"))
        if names and sorted(names) == sorted(f"arr_{index}.npy" for index in range(len(names))):
            return [_plain_array(archive.read(f"arr_{index}.npy")) for index in range(len(names))]
    held = ", ".join(name[:40] for name in names[:3]) or "nothing"
    raise ValueError(f"it holds {held}{', ...' if len(names) > 3 else ''}, neither params nor arr_0, arr_1, ...")


def _header(content: bytes) -> tuple[tuple, bool, np.dtype, bytes]:
    """Shape, whether in Fortran's order, dtype, and what follows the header of an .npy file."""
    file = io.BytesIO(content)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"unknown .npy version {version}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a header is Python 2's is no news to the user
        shape, fortran, dtype = readers[version](file)
    return shape, fortran, dtype, file.read()


def _plain_array(content: bytes) -> np.ndarray:
    """The array of an .npy file without pickle."""
    shape, fortran, dtype, data = _header(content)
    return _float_array(data, shape=shape, dtype=dtype.str, fortran=fortran)


def _params(content: bytes) -> list[np.ndarray]:
    """The arrays of an .npy file that holds an object array of float arrays."""
    shape, _, dtype, data = _header(content)
    if dtype != np.dtype(object):
        raise ValueError(f"params is an array of {dtype}, not a list of arrays")
    for index, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if opcode.name not in _OPCODES.split():
            raise ValueError(f"its pickle contains {opcode.name}, which no array needs; nothing of it was run")
        if index >= _MAX_INSTRUCTIONS:
            raise ValueError(f"its pickle has more than {_MAX_INSTRUCTIONS} instructions")
        # the C unpickler would make room for as many entries as the argument says
        if opcode.name.endswith("BINPUT") and not (isinstance(argument, int) and argument <= index):
            raise ValueError("its pickle is malformed")
    params = _Unpickler(io.BytesIO(data), encoding="latin1").load()
    if not isinstance(params, _Array) or not isinstance(params.value, list) or shape != (len(params.value),):
        raise ValueError("params is not a list of arrays")
    return params.value


def _float_array(data: bytes, *, shape, dtype: str, fortran: bool) -> np.ndarray:
    """The array that `data` holds, once all its claims are checked; `dtype` is such as "<f4"."""
    if dtype[:1] not in ("<", ">") or dtype[1:] not in _FLOATS:
        raise ValueError(f"it holds an array of {dtype}, not of floats")
    if not (isinstance(shape, tuple) and len(shape) <= 4 and all(type(n) is int and n >= 0 for n in shape)):
        raise ValueError("it holds an array without a proper shape")
    if len(data) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise ValueError(f"an array of shape {shape} has {len(data)} bytes: damaged")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _bytes(text: str, encoding: str) -> bytes:
    """`_codecs.encode`, by which Python 3 writes bytes for Python 2's unpickler, for the one encoding that it uses."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("its pickle is malformed")
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    """Answers the names in numpy's pickles of arrays with stand-ins, and no other name."""

    def find_class(self, module, name):
        stand_ins = {
            "numpy.core.multiarray._reconstruct": _Array,
            "numpy._core.multiarray._reconstruct": _Array,
            "numpy.ndarray": _NDARRAY,
            "numpy.dtype": _Dtype,
            "_codecs.encode": _bytes,
        }
        if f"{module}.{name}" not in stand_ins:
            raise pickle.UnpicklingError(f"its pickle asks for {module}.{name}, which no array needs; it was not run")
        return stand_ins[f"{module}.{name}"]


class _Dtype:
    """In place of numpy.dtype: a float type or that of objects."""

    def __init__(self, code, align, copy):
        if not isinstance(code, str) or not re.fullmatch("f2|f4|f8|O4|O8", code):
            raise ValueError(f"it holds an array of {str(code)[:20]!r}, not of floats")
        self.code, self.order = code, ""

    def __setstate__(self, state):
        self.order = state[1]  # of (version, byte order, and what only records and subarrays have)


class _Array:
    """In place of numpy.ndarray; `value` is a float array, or the list of them that an object array holds."""

    def __init__(self, kind, shape, typecode):
        if kind is not _NDARRAY:
            raise ValueError("its pickle is malformed")
        self.value = None

    def __setstate__(self, state):
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype):
            raise ValueError("its pickle is malformed")
        if dtype.code.startswith("O"):
            if not all(isinstance(item, _Array) and isinstance(item.value, np.ndarray) for item in data):
                raise ValueError("params holds something else than arrays of floats")
            self.value = [item.value for item in data]
        else:
            data = data.encode("latin1") if isinstance(data, str) else data  # a str of Python 2
            self.value = _float_array(data, shape=shape, dtype=dtype.order + dtype.code, fortran=bool(fortran))
