"""A drive that fails is said as such: no file on it is called damaged, taken for another or for none, or made anew."""

import builtins
import errno
import io
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pyarrow.parquet as pq
import pytest
import SimpleITK
import tensorflow as tf

from rembrandt_featgen.cohort import (
    csv_rows,
    dicom_files,
    file_signatures,
    image_files,
    image_paths,
    nnunet_layouts,
    patient_files,
    split_files,
)
from rembrandt_featgen.core import array_files, json_files, paths, system_errors
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import store_index
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.evaluation import predictions
from rembrandt_featgen.features import stored_tables, synthetic_files, table_files
from rembrandt_featgen.nn import weights
from rembrandt_featgen.segmentation import tensorlayer_files
from tests.cohort.image_examples import voxels, write_itk, write_series
from tests.data.stored import TENSORS


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """Files of several kinds."""
    folder = tmp_path_factory.mktemp("drive")
    for name in ("a.json", "rows.jsonl", "dataset.json", "train.jsonl", "train.jsonl.part", "patients.csv", "a.csv"):
        (folder / name).write_text("{}\n")
    (folder / "train-00000.tfrecord").write_bytes(b"a shard that an hour of work wrote")
    np.savez(folder / "a.npz", np.zeros(3))
    np.save(folder / "a.npy", np.zeros(3))
    nib.save(nib.Nifti1Image(voxels(), np.eye(4)), folder / "a.nii.gz")
    write_itk(folder / "a.mha", voxels())
    write_series(folder / "dicom", voxels())
    return folder


READERS = {
    "JSON": lambda folder: json_files.read_json(folder / "a.json"),
    "journal": lambda folder: json_files.resume_journal(folder / "rows.jsonl"),
    "weights": lambda folder: weights.load(tf.keras.Sequential(), folder / "a.npz"),
    "array": lambda folder: array_files.read_npy(folder / "a.npy"),
    "TensorLayer": lambda folder: tensorlayer_files.read(folder / "a.npz"),
    "split": lambda folder: split_files.read_split(folder / "a.json"),
    "patients": lambda folder: patient_files.read_patients(folder),
    "nnU-Net": lambda folder: nnunet_layouts._channels(folder, ("flair",)),
    "synthetic": lambda folder: synthetic_files._read(folder / "a.json"),
    "index": lambda folder: store_index.read_index(folder, "train"),
    "writer": lambda folder: Writer(folder, "train", TENSORS, resume=True),
    "predictions": lambda folder: predictions.read(folder / "a.csv"),
    "CSV": lambda folder: csv_rows.read_lines(folder / "a.csv", "--cohort:"),
    "features": lambda folder: table_files._csv(folder / "a.csv", "--features"),
    "signature": lambda folder: file_signatures.recognise(folder / "a.nii.gz"),
    "NIfTI": lambda folder: image_files.load(folder / "a.nii.gz", "--image"),
    "DICOM": lambda folder: dicom_files.read_header(folder / "dicom" / "IM0000"),
}


def is_said(call, number):
    with pytest.raises(OSError) as caught:
        call()
    assert caught.value.errno == number
    said = str(system_errors.readable(caught.value, {}))
    assert "see whether the disk or network drive works" in said and "\n" not in said and "delete" not in said


@pytest.mark.parametrize("reader", READERS)
def test_a_drive_that_fails_as_a_file_is_opened(reader, drive, monkeypatch):
    before = {path: path.read_bytes() for path in drive.rglob("*") if path.is_file()}

    def failing(call):
        def opened(path, *args, **kwargs):
            if isinstance(path, (str, Path)) and str(path).startswith(str(drive)):
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            return call(path, *args, **kwargs)

        return opened

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing(Path.open))
        patch.setattr(builtins, "open", failing(open))
        is_said(lambda: READERS[reader](drive), errno.EIO)
    assert before == {path: path.read_bytes() for path in drive.rglob("*") if path.is_file()}


@pytest.mark.parametrize("reader", ["load_table", "unet_dice", "features"])
def test_a_drive_that_fails_as_a_parquet_file_is_read(reader, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(table_files, "read_parquet", fails)
    monkeypatch.setattr(pq, "read_schema", fails)
    path = tmp_path / "a.parquet"
    calls = {
        "load_table": lambda: stored_tables.load_table(path, None),
        "unet_dice": lambda: stored_tables.unet_dice(path),
        "features": lambda: table_files._parquet(path, "--features"),
    }
    is_said(calls[reader], errno.EIO)


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ESTALE])
@pytest.mark.parametrize("is_there", [paths.is_file, image_paths.exists])
def test_a_drive_that_is_gone_is_no_missing_file(is_there, number, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", fails)
        is_said(lambda: is_there(tmp_path / "a.nii.gz"), number)
    assert not is_there(tmp_path / f"{'n' * 300}.nii.gz") and not is_there(tmp_path / "a\0.nii.gz")


@pytest.mark.parametrize("what", ["header", "voxels", "mha"])
def test_libraries_that_do_not_say_why_they_could_not_read(what, drive, monkeypatch):
    """GDCM and ITK say the same of a damaged file and of a drive that fails: the file is read to its end to tell."""
    slices = [dicom_files.read_header(path) for path in sorted((drive / "dicom").iterdir())]
    call = {
        "header": lambda: dicom_files.read_header(slices[0].path),
        "voxels": lambda: dicom_files.read_slices(slices, "--dicom"),
        "mha": lambda: image_files.load(drive / "a.mha", "--image"),
    }[what]

    def fails(*_, **__):
        raise RuntimeError("ITK ERROR: could not read")

    for reader in (SimpleITK.ImageFileReader, SimpleITK.ImageSeriesReader):
        monkeypatch.setattr(reader, "Execute", fails)
    monkeypatch.setattr(SimpleITK.ImageFileReader, "ReadImageInformation", fails)
    with pytest.raises(InputError, match=r"damaged|cannot be read|not a readable"):
        call()
    read, at_its_end = system_errors.check_drive, io.FileIO.read

    def check(*files):
        """As where the last byte of each cannot be read."""
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", lambda path, *_, **__: Torn(path))
            read(*files)

    class Torn(io.FileIO):
        def read(self, size=-1):
            found = at_its_end(self, size)
            if self.tell() == os.fstat(self.fileno()).st_size:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(self.name))
            return found

    monkeypatch.setattr(system_errors, "check_drive", check)
    is_said(call, errno.EIO)
