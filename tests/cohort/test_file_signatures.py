"""First bytes of files, as programs write them."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import nibabel as nib
import numpy as np
import pytest

from rembrandt_featgen.cohort import file_signatures

IMAGE = nib.Nifti1Image(np.random.default_rng(0).integers(0, 255, (9, 9, 9)).astype(np.uint8), np.eye(4))


def _zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.nii", IMAGE.to_bytes())
    return file.getvalue()


def _tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    return file.getvalue()


def _npy():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "what", "fix"),
    [
        (b"", "an empty file", "again"),
        (_zip(), "a ZIP archive", "unpack it"),
        (_tar(), "a tar archive", "unpack it"),
        (bz2.compress(b"a" * 99), "packed by bzip2", "unpack it"),
        (lzma.compress(b"a" * 99), "packed by xz", "unpack it"),
        (_npy(), "a NumPy array", "convert it"),
        (gzip.compress(_tar(), mtime=0), "gzip of a tar archive", "unpack it"),
        (gzip.compress(b"<html>" * 99, mtime=0), "gzip of an HTML page", "download"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "convert it"),
        (b"MATLAB 5.0 MAT-file", "a MATLAB file", "convert it"),
        (b"%PDF-1.4", "a PDF document", "give the volume"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML", "download the file again"),
        (b'{"error": "not found"}', "JSON", "download the file again"),
        (b"patient,label\n1,LGG\n", "a text that begins with 'patient,label'", "give the volume"),
        (b"  \n", "a text that begins with ''", "give the volume"),
        (b"\x5c\x01\x00\x00" + b"\x00" * 124 + b"DICM", "a DICOM file", "import_dicom"),  # as Siemens writes it
        (b"\x00" * 128 + b"DICM", "a DICOM file", "rembrandt_featgen.stages.import_dicom"),
    ],
)
def test_what_it_is(data, what, fix):
    signature = file_signatures.of_bytes(data)
    assert what in signature.what
    assert fix in signature.fix
    assert "\n" not in signature.what + signature.fix


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_nifti(pack):
    assert file_signatures.of_bytes(pack(IMAGE.to_bytes())[:4096]).format == "nifti"


@pytest.mark.parametrize("data", [b"\x01\x02\x03\x04" * 99, b"\x1f\x8bdamaged", np.random.default_rng(0).bytes(4096)])
def test_bytes_that_tell_nothing(data):
    assert file_signatures.of_bytes(data) is None


def test_a_file_that_cannot_be_opened(tmp_path):
    (tmp_path / "a.nii").symlink_to(tmp_path / "gone.nii")
    assert "cannot be read (No such file" in file_signatures.recognise(tmp_path / "a.nii").what
