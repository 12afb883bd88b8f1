"""Arrays that others wrote."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from rembrandt_featgen.core import array_files
from rembrandt_featgen.core.errors import InputError

KINDS = (
    st.sampled_from([np.dtype(kind) for kind in ("f2", ">f4", "f8", "i8", "u1", "?", "c8")])
    | of_numpy.unicode_string_dtypes(max_len=4)
    | of_numpy.byte_string_dtypes(max_len=4)
)
ARRAYS = of_numpy.arrays(KINDS, of_numpy.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), ARRAYS), st.booleans(), st.booleans())
def test_what_numpy_wrote_is_read_as_numpy_reads_it(tmp_path_factory, arrays, packed, fortran):
    path = tmp_path_factory.getbasetemp() / "any.npz"
    arrays = {name: np.asfortranarray(one) if fortran else one for name, one in arrays.items()}
    (np.savez_compressed if packed else np.savez)(path, **arrays)
    read = array_files.read_npz(path)
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype and read[name].shape == array.shape
        assert read[name].tobytes() == array.tobytes()


def _npz(content: bytes, how=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        archive.writestr("a.npy", content)
    return file.getvalue()


def _npy(array, **settings) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **settings)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_npz(_npy(np.array([{}], object))), "not of numbers or text"),  # a pickle
        (_npz(_npy(np.array([("a", 1)], [("x", "U1"), ("y", "i4")]))), "not of numbers or text"),
        (_npz(_npy(np.zeros(5)).replace(b"(5,)", b"(9,)")), "damaged"),
        (_npz(_npy(np.zeros(5)).replace(b"(5,)", b"(-5,)")), "damaged"),
        (_npz(_npy(np.zeros(5))[:-1]), "damaged"),
        (_npz(_npy(np.zeros(5)), zipfile.ZIP_BZIP2), "packed in a way"),
        (_npz(_npy(np.array(["a"])).replace(b"a\0\0\0", b"a\0\0\x41")), "text that is none"),
        (_npz(_npy(np.array(["a"], ">U1")).replace(b"\0\0\0a", b"\0\0\xd8\0")), "text that is none"),
        (_npz(b"no array"), "magic"),
        (_npz(_npy(np.zeros(10**6))), "would unpack"),
        (b"PK\x03\x04 and no more", "zip"),
        (b"", "zip"),
    ],
)
def test_what_is_no_plain_array_is_refused(tmp_path, content, words):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        array_files.read_npz(path, most=1000)
    with pytest.raises(InputError, match=r"a\.npz is missing or damaged"):
        array_files.read_own(path)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match=r"missing or damaged \(No such file"):
        array_files.read_own(tmp_path / "scale.npy")
    with pytest.raises(InputError, match="missing or damaged"):
        array_files.read_own_npz(tmp_path / "overlays.npz")
