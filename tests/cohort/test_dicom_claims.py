"""DICOM files whose headers say more than the file has: refused before GDCM takes memory, or the process, for it."""

import os
import resource
import struct
import sys
import zlib

import pytest
import SimpleITK

from rembrandt_featgen.cohort import dicom_claims, dicom_files
from tests.cohort.image_examples import voxels, write_series
from tests.cohort.refusals import refused

_EXPLICIT = "1.2.840.10008.1.2.1"


def _element(tag, kind, value, order="<", length=None):
    """An element; implicit where `kind` is empty."""
    length = len(value) if length is None else length
    head = struct.pack(order + "HH", *tag) + kind
    if not kind or kind in dicom_claims._LONG:
        return head + bytes(2 * bool(kind)) + struct.pack(order + "I", length) + value
    return head + struct.pack(order + "H", length) + value


def _file(path, elements, syntax=_EXPLICIT):
    text = syntax.encode().ljust(len(syntax) + len(syntax) % 2, b"\0")
    path.write_bytes(bytes(128) + b"DICM" + _element((2, 0x10), b"UI", text) + elements)
    return path


def _nested(depth, length):
    """Sequences within each other, (0008,1140)."""
    inner = b""
    for _ in range(depth):
        ends = [struct.pack("<HHI", 0xFFFE, end, 0) for end in (0xE00D, 0xE0DD)] if length else [b"", b""]
        item = struct.pack("<HHI", 0xFFFE, 0xE000, length or len(inner)) + inner + ends[0]
        inner = _element((8, 0x1140), b"SQ", item + ends[1], length=length or len(item))
    return inner


_HUGE = 0x30000000  # bytes: 805 MB
_NAME = _element((0x10, 0x20), b"LO", b"ABCD")
_SAYS_MORE = {
    "pixels": (_element((0x7FE0, 0x10), b"OW", b"1234", length=_HUGE), _EXPLICIT),
    "implicit": (_element((0x10, 0x20), b"", b"ABCD", length=_HUGE), dicom_claims.IMPLICIT),
    "big endian": (_element((0x10, 0x20), b"UN", b"ABCD", order=">", length=_HUGE), dicom_claims.BIG),
    "kind unknown": (_NAME + b"\x10\0\x21\0\x04\0\0\0" + _HUGE.to_bytes(4, "little"), _EXPLICIT),
    "kind unknown at once": (b"\x10\0\x20\0\x04\0\0\0" + _HUGE.to_bytes(4, "little"), _EXPLICIT),
    "no kind is said": (_NAME + _element((0x10, 0x21), b"", bytes(256), length=_HUGE), _EXPLICIT),
    "within a sequence": (
        _element((8, 0x1140), b"SQ", struct.pack("<HHI", 0xFFFE, 0xE000, _HUGE), length=0xFFFFFFFF),
        _EXPLICIT,
    ),
    "a packed frame": (
        _element((0x7FE0, 0x10), b"OB", struct.pack("<HHI", 0xFFFE, 0xE000, _HUGE), length=0xFFFFFFFF),
        "1.2.840.10008.1.2.4.70",
    ),
    "deflated": (
        zlib.compress(_element((0x7FE0, 0x10), b"OW", b"1234", length=_HUGE), wbits=-15),
        dicom_claims.DEFLATED,
    ),
}


@pytest.mark.parametrize("name", _SAYS_MORE)
def test_an_element_longer_than_the_file_is_refused_before_gdcm_reads_it(name, tmp_path, monkeypatch):
    elements, syntax = _SAYS_MORE[name]
    path = _file(tmp_path / "a.dcm", elements, syntax)
    with pytest.raises(ValueError, match=f"says {_HUGE} bytes, and there are [0-9]+$"):
        dicom_claims.check_lengths(path)
    monkeypatch.setattr(SimpleITK.ImageFileReader, "ReadImageInformation", lambda reader: pytest.fail("GDCM read it"))
    refused(lambda: dicom_files.read_header(path), path, "a damaged DICOM file (element", f"says {_HUGE} bytes")


def test_a_damaged_meta_group_is_refused(tmp_path):
    """GDCM reads it in another way then, by lengths that mean nothing: 1.2 GB for a file of 928 bytes."""
    path = _file(tmp_path / "a.dcm", _element((2, 0x16), b"AG", b"GDCM/ITK 5.4.8") + _NAME)
    with pytest.raises(ValueError, match=r"\(0002,0016\) of its meta group"):
        dicom_claims.check_lengths(path)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0])
def test_sequences_without_end_are_refused(length, tmp_path):
    """Those of 100,000 levels end the process, in GDCM's recursion."""
    dicom_claims.check_lengths(_file(tmp_path / "a.dcm", _nested(40, length) + _NAME))
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        dicom_claims.check_lengths(_file(tmp_path / "a.dcm", _nested(60, length) + _NAME))


def test_what_unpacks_to_far_too_much_is_refused(tmp_path):
    packed = zlib.compress(bytes(dicom_claims._INFLATED + 2**20), wbits=-15)
    path = _file(tmp_path / "a.dcm", packed, dicom_claims.DEFLATED)
    with pytest.raises(ValueError, match="would unpack"):
        dicom_claims.check_lengths(path)


def test_files_as_they_should_be_pass(tmp_path):
    frames = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, size) + b"\xff" * size for size in (0, 16))
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    packed = _element((0x7FE0, 0x10), b"OB", frames + end, length=0xFFFFFFFF)
    implicit = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + _element((9, 0x10), b"", b"1.2.840")
    unknown = _element((9, 0x1001), b"UN", implicit + struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + end, length=0xFFFFFFFF)
    dicom_claims.check_lengths(_file(tmp_path / "d", _NAME + unknown + _NAME))
    dicom_claims.check_lengths(_file(tmp_path / "a", _NAME + packed + _NAME, "1.2.840.10008.1.2.4.70"))
    for file in write_series(tmp_path / "c", voxels()):
        dicom_claims.check_lengths(file)
        bare = tmp_path / "bare"
        bare.write_bytes(file.read_bytes()[file.read_bytes().index(b"\x08\0\x16\0") :])  # as before DICOM's preamble
        dicom_claims.check_lengths(bare)


def test_a_file_that_becomes_shorter_while_it_is_read_is_refused(tmp_path):
    """Mapped into memory it would end the process by SIGBUS, as a drive that fails would."""
    path = _file(tmp_path / "a.dcm", _NAME + _element((0x7FE0, 0x10), b"OW", bytes(10 * dicom_claims._WINDOW)) + _NAME)
    with path.open("rb", buffering=0) as file:
        data = dicom_claims._Bytes(file)
        assert data[128:132] == b"DICM" and data[len(data) - 4 :] == b"ABCD" and data[len(data) :] == b""
        os.truncate(path, 200)
        with pytest.raises(ValueError, match="became shorter"):
            data[1000:1004]


def _with_size(files, side):
    for file in files:
        data = file.read_bytes()
        for element in (b"\x10", b"\x11"):
            at = data.index(b"\x28\0" + element + b"\0\x02\0\0\0") + 8
            data = data[:at] + side.to_bytes(2, "little") + data[at + 2 :]
        file.write_bytes(data)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_pixels_that_are_not_there_are_refused_before_memory_is_taken(tmp_path):
    """20,000 x 20,000 pixels of 16 bits are 0.8 GB for each of four slices."""
    files = write_series(tmp_path, voxels())
    _with_size(files, 40)  # of 2 bytes in files of about 1 KB, which 8 bits would fit into
    refused(lambda: dicom_files.read_folder(tmp_path), "headers say 6400 pixels", "download the series again")
    _with_size(files, 20000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(lambda: dicom_files.read_folder(tmp_path), "headers say 1600000000 pixels")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2e5  # KB
