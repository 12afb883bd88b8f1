"""Files in tests/data/tensorlayer were written by the Python and numpy that their names say: np.savez(params=[...])."""

import io
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.segmentation import tensorlayer_files

WRITTEN = sorted((Path(__file__).parent / "tensorlayer").glob("*.npz"))


class Calls:
    """Pickled, it is a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Persistent(pickle.Pickler):
    def persistent_id(self, value):
        return "id" if isinstance(value, Calls) else None


def npy(data, shape, descr="|O"):
    """An .npy member of the given bytes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


def archive(path, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def pickled(path, value, protocol=4, shape=(1,)):
    """A file whose `params` is the pickle of `value`, whatever the header says."""
    return archive(path, params=npy(pickle.dumps(value, protocol), shape))


def refused(path, *words):
    """Has the file refused with one line, which it returns."""
    with pytest.raises(InputError) as caught:
        tensorlayer_files.read(path)
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    for word in (f"--unet_weights={path}", "tl.files.save_npz", *words):
        assert word in line
    return line


def objects(*items):
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def mine(path, params):
    tensorlayer_files.write(path, params)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "u_net.npz"


@pytest.mark.parametrize("written", WRITTEN, ids=lambda path: path.stem)
def test_reads_what_old_and_new_pythons_wrote(written):
    """Protocols 2, 3 and 4; float64 in Fortran's order, and big-endian float32."""
    kernel, bias = tensorlayer_files.read(written).arrays
    assert kernel.dtype == np.float64
    np.testing.assert_array_equal(kernel, [[[[-2.5, -1.5, -0.5], [0.5, 1.5, 2.5]]]])
    np.testing.assert_array_equal(bias, np.array([0.1, -200.0], np.float32))


def test_three_files_were_found():
    assert len(WRITTEN) == 3


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8"])
@pytest.mark.parametrize(
    "save", [np.savez, np.savez_compressed, lambda path, params: tensorlayer_files.write(path, params)]
)
def test_round_trip_to_the_last_bit(dtype, save, path):
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=shape).astype(dtype) for shape in [(3, 3, 4, 2), (2,), (3, 3, 2, 2), (1,)]]
    save(path, params=objects(*arrays))
    found = tensorlayer_files.read(path).arrays
    assert len(found) == 4
    for before, after in zip(arrays, found):
        assert after.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(after, before)


def test_written_file_is_what_numpy_and_tensorlayer_load(path):
    arrays = [np.ones((2, 2), np.float32), np.ones((2, 2), np.float32), np.arange(3, dtype=np.float32)]
    tensorlayer_files.write(path, arrays)
    params = np.load(path, allow_pickle=True)["params"]  # all that tl.files.load_npz does
    assert params.shape == (3,)
    for before, after in zip(arrays, params):
        np.testing.assert_array_equal(after, before)


def test_reads_plain_arrays_in_the_order_of_their_numbers(path):
    arrays = [np.full((2,), index, np.float32) for index in range(12)]
    np.savez(path, *arrays)
    assert [array[0] for array in tensorlayer_files.read(path).arrays] == list(range(12))


def test_digest_is_that_of_the_file(path):
    path.write_bytes(WRITTEN[0].read_bytes())
    assert (
        tensorlayer_files.read(path).digest == "da3ea19f94ab84c159a722b7a739e4b28cbd02efdb22a820f57fb47980f26cfc"
    )  # sha256sum


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("wrapped", [False, True])
def test_malicious_pickle_runs_nothing(protocol, wrapped, path, tmp_path):
    loot = tmp_path / "loot"
    trap = Calls(os.system, f"touch {loot}")
    pickled(path, objects(trap) if wrapped else trap, protocol)
    refused(path, "run")
    assert not loot.exists()
    np.load(path, allow_pickle=True)["params"]  # the trap is a real one
    assert loot.exists()


@pytest.mark.parametrize(
    "trap",
    [
        Calls(getattr, "text", "upper"),
        Calls(eval, "1 + 1"),
        Calls(np.load, "x.npy", None, True),
        Calls(pickle.loads, pickle.dumps(Calls(print, "x"))),
        Calls(np.ndarray, (1,)),
        Calls(np.frombuffer, b"12345678"),
        Calls(bytearray, 10),
        Calls(np.dtype, "f4"),
        Calls(np.dtype, "V8", False, True),
        np.float32(1.0),
        {"a": 1},
        slice(1),
    ],
    ids=lambda trap: re.sub(" at 0x[0-9a-f]+", "", repr(getattr(trap, "call", trap)))[:40],  # the same in each worker
)
def test_malicious_or_foreign_objects_are_refused(trap, path):
    refused(pickled(path, trap))
    refused(pickled(path, objects(trap)))


def test_malicious_persistent_id_is_refused(path):
    file = io.BytesIO()
    Persistent(file, 4).dump(objects(Calls(print)))
    refused(archive(path, params=npy(file.getvalue(), (1,))), "BINPERSID")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\x80\x02N\x82\x01.", "EXT1"),
        (b"\x80\x02(S'x'\nios\nsystem\n.", "STRING"),
        (b"\x80\x02(K\x01ios\nsystem\n.", "INST"),
        (b"\x80\x02cposix\nsystem\n)\x81.", "NEWOBJ"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "malformed"),  # an entry 2**31 - 1 of the memo
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00xX\x05\x00\x00\x00utf-8\x86R.", "malformed"),
        (b"\x80\x02c_codecs\nencode\nK\x0aX\x06\x00\x00\x00latin1\x86R.", "malformed"),
        (b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00V8K\x00K\x01\x87R.", "V8"),
        (b"\x80\x02cnumpy\nndarray\nK\x01\x85R.", "not callable"),
        (b"\x80\x02cnumpy\nndarray\nN\x85b.", "dictionary"),
        (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nNb.", "argument"),
        (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n" + b"N" * 3 + b"\x87R.", "malformed"),
        (b"\x80\x04C\x05abc", "bytes"),  # ends within an argument
        (b"\x80\x02" + b"N" * 20_000 + b".", "20000 instructions"),
        (b"\x80\x02N.", "not a list"),
        (b"", "pickle"),
    ],
)
def test_malicious_instructions_are_refused(data, word, path):
    refused(archive(path, params=npy(data, (1,))), word)


def state(shape=b"K\x02\x85", data=b"C\x08" + bytes(8), order=b"<", version=b"K\x01"):
    """The pickle of a list of one float32 array, made from instructions."""
    dtype = b"cnumpy\ndtype\nX\x02\x00\x00\x00f4K\x00K\x01\x87R(K\x03X\x01\x00\x00\x00" + order + b"NNNJ" + b"\xff" * 4
    dtype += b"J" + b"\xff" * 4 + b"K\x00tb"
    kinds = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    inner = kinds + b"(" + version + shape + dtype + b"\x89" + data + b"tb"
    outer_dtype = dtype.replace(b"f4", b"O8").replace(b"K\x00tb", b"K\x3ftb")
    return b"\x80\x03" + kinds + b"(K\x01K\x01\x85" + outer_dtype + b"\x89]" + inner + b"atb."


def test_array_made_from_instructions_is_read(path):
    archive(path, params=npy(state(data=b"C\x08" + struct.pack("<2f", 1.5, -2.0)), (1,)))
    (array,) = tensorlayer_files.read(path).arrays
    np.testing.assert_array_equal(array, [1.5, -2.0])
    np.testing.assert_array_equal(np.load(path, allow_pickle=True)["params"][0], [1.5, -2.0])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"shape": b"K\x03\x85"}, "8 bytes"),
        ({"shape": b"J\xff\xff\xff\xff\x85"}, "shape"),
        ({"shape": b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7ft"}, "8 bytes"),
        ({"shape": b"\x88\x85"}, "shape"),
        ({"shape": b"K\x02"}, "shape"),
        ({"shape": b"(" + b"K\x01" * 5 + b"t"}, "shape"),
        ({"order": b"|"}, "|f4"),
        ({"data": b"K\x08"}, "len"),
        ({"data": b"]"}, "0 bytes"),
    ],
)
def test_malicious_claims_of_an_array_are_refused(change, word, path):
    refused(archive(path, params=npy(state(**change), (1,))), word)


@pytest.mark.parametrize(
    ("params", "word"),
    [
        (objects("text"), "floats"),
        (objects(np.array(["a", "b"])), "U1"),
        (objects(np.arange(3)), "i8"),
        (objects(np.ones(2, complex)), "c16"),
        (objects(objects(np.ones(2, np.float32))), "floats"),
        (objects(None), "floats"),
        (objects([1.0, 2.0]), "BINFLOAT"),
        (objects([1, 2]), "floats"),
        (objects(np.zeros(1, [("a", "f4")])), ""),
        (np.ones((2, 3), np.float32), "float32"),
        (np.array(["a"]), "<U1"),
    ],
)
def test_params_that_are_not_a_list_of_float_arrays(params, word, path):
    np.savez(path, params=params)
    refused(path, word)


def test_length_must_be_the_headers(path):
    refused(pickled(path, objects(np.ones(2, np.float32)), shape=(2,)), "list")


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"weights": npy(b"", (0,), "<f4")}, "weights.npy"),
        ({}, "nothing"),
        ({"arr_1": npy(b"", (0,), "<f4")}, "arr_1.npy"),
        ({"params": npy(b"", (0,)), "arr_0": npy(b"", (0,), "<f4")}, "params.npy, arr_0.npy"),
        ({"arr_0": npy(bytes(7), (2,), "<f4")}, "7 bytes"),
        ({"arr_0": npy(bytes(8), (1,), "<i8")}, "<i8"),
        ({"arr_0": npy(pickle.dumps(1), (1,))}, "|O"),
        ({"arr_0": b"hello"}, "magic"),
        ({"arr_0": b"\x93NUMPY\x07\x00" + bytes(90)}, "version"),
        ({"params": b""}, "magic"),
    ],
)
def test_other_archives(members, word, path):
    refused(archive(path, **members), word)


def test_same_name_twice(path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "w") as file:
        for _ in range(2):
            file.writestr("params.npy", npy(state(), (1,)))
    refused(path, "params.npy, params.npy")


@pytest.mark.parametrize("keep", [0, 30, 300, -1, -40])
def test_truncated(keep, path):
    path.write_bytes(WRITTEN[0].read_bytes()[:keep])
    refused(path)


def test_flipped_bit_is_found_by_the_checksum(path):
    content = bytearray(WRITTEN[0].read_bytes())
    content[content.index(b"\xf8\x3f")] ^= 1  # within a weight
    path.write_bytes(content)
    refused(path, "CRC")


def test_missing_and_folder(path, tmp_path):
    refused(path, "No such file")
    refused(tmp_path, "directory")


def test_bomb_is_not_unpacked(path, monkeypatch):
    monkeypatch.setattr(tensorlayer_files, "MAX_BYTES", 10**6)
    archive(path, zipfile.ZIP_DEFLATED, arr_0=npy(bytes(2 * 10**6), (500_000,), "<f4"))
    assert path.stat().st_size < 10**4
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    refused(path, "unpack to more than 1000000 bytes")


def test_large_file_is_not_read_whole(path, monkeypatch):
    monkeypatch.setattr(tensorlayer_files, "MAX_BYTES", 1000)
    with path.open("wb") as file:
        file.truncate(10**12)  # sparse: no bytes on disk
    refused(path, "larger than 1000 bytes")


def test_other_compressions_are_refused(path):
    refused(archive(path, zipfile.ZIP_LZMA, params=npy(state(), (1,))), "packed")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_change_of_bytes_gets_anything_but_arrays_or_a_line(tmp_path_factory, data):
    """Random damage to the pickle itself, past the archive's checksum."""
    with zipfile.ZipFile(data.draw(st.sampled_from(WRITTEN))) as file:
        content = bytearray(file.read("params.npy"))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(128, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = archive(tmp_path_factory.getbasetemp() / "changed.npz", params=bytes(content))
    try:
        arrays = tensorlayer_files.read(path).arrays
    except InputError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert all(type(array) is np.ndarray and array.dtype.kind == "f" for array in arrays)
