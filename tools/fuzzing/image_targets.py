"""Targets: images of every format that `cohort.volumes` reads, each as one input of bytes."""

from __future__ import annotations

import gzip
import io
import struct
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK

from fuzzing.target import Target, joined, parted
from rembrandt_featgen.cohort import volumes

_CODE = "cohort/{image_files,volumes,geometry,image_paths,file_signatures,"
_SHAPE = (5, 4, 3)
# (offset, format): dim, datatype, bitpix, pixdim, vox_offset, scl_slope and scl_inter, codes, quaternion and srow.
_NIFTI = tuple((40 + 2 * axis, "<h") for axis in range(8)) + tuple((76 + 4 * axis, "<f") for axis in range(8))
_NIFTI += tuple((256 + 4 * number, "<f") for number in range(18)) + ((0, "<i"), (344, "<i"), (352, "<i"))
_NIFTI += (
    (70, "<h"),
    (72, "<h"),
    (108, "<f"),
    (112, "<f"),
    (116, "<f"),
    (252, "<h"),
    (254, "<h"),
    (123, "B"),
    (348, "B"),
)
_NIFTI2 = tuple((16 + 8 * axis, "<q") for axis in range(8))
_NIFTI2 += ((12, "<h"), (14, "<h"), (168, "<q"), (0, "<i"), (540, "B"))
_MGH = tuple((4 * number, ">i") for number in range(7)) + tuple((30 + 4 * number, ">f") for number in range(15))
_META_WORDS = b"""DimSize = 5 4 3
DimSize = 2000 2000 750
DimSize = 99999 99999 99999
NDims = 4
NDims = 40
ElementType = MET_DOUBLE
CompressedData = True
CompressedDataSize = 7
BinaryData = False
ElementDataFile = LIST
ElementDataFile = /dev/zero
ElementDataFile = x%03d.raw 1 99999 1
ElementDataFile = LOCAL
HeaderSize = -1
HeaderSize = 99999999
ElementNumberOfChannels = 999999
TransformMatrix = nan 0 0 0 1 0 0 0 1
ElementSpacing = 0 0 0
ElementByteOrderMSB = True
-1
1e99""".split(b"\n")
_NRRD_WORDS = b"""sizes: 5 4 3
sizes: 2000 2000 750
sizes: 99999999 99999999 9
dimension: 4
dimension: 16
encoding: gzip
encoding: raw
encoding: ascii
encoding: hex
encoding: bzip2
type: double
data file: LIST
data file: /dev/zero
data file: x%03d.raw 1 999999999 1
line skip: 99999999
byte skip: -1
byte skip: 99999999
type: block
block size: 99999
space: ras
endian: big
space directions: none (nan,0,0) (0,0,0)
kinds: vector domain domain
-1
1e99
NRRD0009""".split(b"\n")


def _lines(words: list[bytes]) -> tuple[bytes, ...]:
    return tuple(word + b"\n" * (b" " in word) for word in words)


def _voxels() -> np.ndarray:
    return np.arange(60, dtype=np.int16).reshape(_SHAPE) % 7


def _nifti(kind=nib.Nifti1Image, dtype=np.int16, shape=_SHAPE) -> bytes:
    array = np.resize(_voxels(), shape).astype(dtype)
    return kind(array, np.diag([-1.0, 2.0, 3.0, 1.0]), dtype=dtype).to_bytes()


def _seeds_nifti() -> list[bytes]:
    series = _nifti(shape=(*_SHAPE, 2))
    kinds = [_nifti(dtype=kind) for kind in (np.int16, np.float32, np.uint8, np.float64)]
    return [*kinds, _nifti(nib.Nifti2Image), series, _nifti(shape=(*_SHAPE, 1))]


def _seeds_mgh() -> list[bytes]:
    images = [nib.MGHImage(_voxels().astype(kind), np.eye(4)) for kind in (np.int16, np.float32, np.uint8)]
    plain = [image.to_bytes() for image in images]
    return [gzip.compress(plain[0], mtime=0), gzip.compress(plain[1], mtime=0), plain[2]]


def _seeds_pair() -> list[bytes]:
    found = []
    for kind in (nib.Nifti1Pair, nib.AnalyzeImage, nib.Spm99AnalyzeImage):
        image = kind(_voxels(), np.eye(4))
        files = {name: io.BytesIO() for name in image.file_map}
        for name, file in files.items():
            image.file_map[name].fileobj = file
        image.to_file_map()
        header, voxels, mat = (files[name].getvalue() if name in files else b"" for name in ("header", "image", "mat"))
        found += [joined(header, voxels, mat), joined(*(gzip.compress(file, mtime=0) for file in (header, voxels)))]
    return found


def _itk(ending: str, *, packed: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        image = SimpleITK.GetImageFromArray(_voxels())
        image.SetSpacing((1.0, 2.0, 3.0))
        path = Path(folder, f"x{ending}")
        SimpleITK.WriteImage(image, str(path), useCompression=packed)
        return path.read_bytes()


def _detached(content: bytes, line: bytes) -> bytes:
    """A file of header and voxels as two."""
    begin = content.index(b"LOCAL\n") + 6 if b"LOCAL\n" in content else content.index(b"\n\n") + 2
    head = content[:begin].replace(b"LOCAL\n", b"v.raw\n") if b"LOCAL\n" in content else content[: begin - 1] + line
    return joined(head, content[begin:])


def _seeds_meta() -> list[bytes]:
    plain, packed = _itk(".mha", packed=False), _itk(".mha", packed=True)
    return [plain, packed, _detached(plain, b""), _detached(packed, b"")]


def _seeds_nrrd() -> list[bytes]:
    plain, packed = _itk(".nrrd", packed=False), _itk(".nrrd", packed=True)
    text = plain[: plain.index(b"\n\n") + 2].replace(b"encoding: raw", b"encoding: ascii")
    text += b" ".join(str(value).encode() for value in range(60))
    return [plain, packed, text, _detached(plain, b"data file: v.raw\n"), _detached(packed, b"data file: v.raw\n")]


def _seeds_tif() -> list[bytes]:
    found = []
    for packed in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "x.tif")
            image = SimpleITK.GetImageFromArray(np.arange(20, dtype=np.uint8).reshape(4, 5))
            SimpleITK.WriteImage(image, str(path), useCompression=packed)
            found.append(path.read_bytes())
    return found


def _dicom(place: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.dcm")
        image = SimpleITK.GetImageFromArray(np.arange(20, dtype=np.int16).reshape(1, 4, 5))
        tags = {"0020|000e": "1.2.3", "0008|0060": "MR", "0008|103e": "FLAIR", "0020|0032": f"0\\0\\{place}"}
        for tag, value in {**tags, "0020|0037": "1\\0\\0\\0\\1\\0", "0028|0030": "1\\1", "0018|0050": "1"}.items():
            image.SetMetaData(tag, value)
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(path))
        writer.Execute(image)
        return path.read_bytes()


def _explicit(data: bytes) -> bytes:
    """A DICOM file as `_dicom` writes it, with the kind of each value said beside it."""
    at = data.index(b"\x08\x00\x16\x00")
    whole = data[:at].replace(b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.2.1\0")
    whole = whole.replace(b"\x02\x00\x10\x00UI\x12\0", b"\x02\x00\x10\x00UI\x14\0")
    whole = whole.replace(b"UL\x04\0" + data[140:144], b"UL\x04\0" + struct.pack("<I", len(whole) - 144))
    kinds = {0x0008: b"LO", 0x0010: b"LO", 0x0018: b"DS", 0x0020: b"DS", 0x0028: b"US"}
    kinds_of = {(0x0028, 0x0004): b"CS", (0x0028, 0x0030): b"DS", (0x0020, 0x000D): b"UI", (0x0020, 0x000E): b"UI"}
    while at < len(data):
        group, element, length = struct.unpack_from("<HHI", data, at)
        value, at = data[at + 8 : at + 8 + length], at + 8 + length
        if group == 0x7FE0:
            whole += struct.pack("<HH2sHI", group, element, b"OW", 0, length) + value
        else:
            kind = kinds_of.get((group, element)) or kinds[group]
            whole += struct.pack("<HH2sH", group, element, kind, length) + value
    return whole


def _volume(name: str):
    def read(data: bytes, folder: Path) -> None:
        (folder / name).write_bytes(data)
        volumes.read_volume(folder / name)

    return read


def _either(packed: str, plain: str):
    def read(data: bytes, folder: Path) -> None:
        _volume(packed if data[:2] == b"\x1f\x8b" else plain)(data, folder)

    return read


def _pair(header: str, voxels: str, third: str = ""):
    """Reads one file, or a header and voxels beside it, or a third file, too."""

    def read(data: bytes, folder: Path) -> None:
        parts = parted(data)
        (folder / header).write_bytes(parts[0])
        if len(parts) > 1:
            (folder / voxels).write_bytes(parts[1])
        if len(parts) > 2 and third and parts[2]:
            (folder / third).write_bytes(parts[2])
        volumes.read_volume(folder / header)

    return read


def _analyze(data: bytes, folder: Path) -> None:
    header = parted(data)[0]
    packed = ".gz" if header[:2] == b"\x1f\x8b" else ""
    _pair(f"a.hdr{packed}", f"a.img{packed}", "a.mat")(data, folder)


def _mask(data: bytes, folder: Path) -> None:
    image = folder / "image.nii"
    image.write_bytes(_nifti())
    (folder / "mask.nii").write_bytes(data)
    volumes.read_placed_mask(folder / "mask.nii", volumes.read_volume(image))


def _seeds_mask() -> list[bytes]:
    array = np.zeros(_SHAPE, np.uint8)
    array[1:3, 1:3, 1:] = 2
    image = nib.Nifti1Image(array, np.diag([-1.0, 2.0, 3.0, 1.0]))
    return [image.to_bytes(), nib.Nifti1Image(array.astype(np.float32), image.affine).to_bytes()]


def _folder_of(name: str, part: str):
    """Reads a folder with two slices, one of them whole."""

    def read(data: bytes, folder: Path) -> None:
        (folder / name.replace("2", "1")).write_bytes(_TIFS[0] if name.endswith("tif") else _DICOMS[0])
        (folder / name).write_bytes(data)
        volumes.read_volume(f"{folder}{part}")

    return read


_TIFS, _DICOMS = _seeds_tif(), [_dicom(0), _dicom(1)]
_DICOMS.append(_explicit(_DICOMS[1]))
_OF_NIBABEL, _OF_ITK, _OF_GDCM = (
    _CODE + "nifti_files}",
    _CODE + "itk_files}",
    "cohort/{dicom_files,dicom_claims,image_files}",
)

TARGETS = (
    Target("nifti", _volume("x.nii"), _seeds_nifti, code=_OF_NIBABEL, fields=_NIFTI + _NIFTI2),
    Target(
        "gzip",
        _either("x.nii.gz", "y.nii.gz"),
        lambda: [gzip.compress(one, mtime=0) for one in _seeds_nifti()],
        code=_OF_NIBABEL,
        shape="gzip",
        fields=_NIFTI,
    ),
    Target("analyze", _analyze, _seeds_pair, code=_OF_NIBABEL, fields=_NIFTI),
    Target("mgh", _either("x.mgz", "x.mgh"), _seeds_mgh, code=_OF_NIBABEL, shape="gzip", fields=_MGH),
    Target("meta", _pair("x.mhd", "v.raw"), _seeds_meta, code=_OF_ITK, tokens=_lines(_META_WORDS)),
    Target("nrrd", _pair("x.nrrd", "v.raw"), _seeds_nrrd, code=_OF_ITK, tokens=_lines(_NRRD_WORDS)),
    Target("tif", _folder_of("x_2.tif", "#0"), lambda: _TIFS, code=_OF_ITK),
    Target("dicom", _folder_of("x_2.dcm", ""), lambda: _DICOMS[1:], code=_OF_GDCM),
    Target("mask", _mask, _seeds_mask, code=_OF_NIBABEL, fields=_NIFTI),
)
