"""That the search for planted strings finds them: were it blind, tests of privacy would pass on anything."""

import gzip

import nibabel as nib
import numpy as np
import pandas as pd
import tensorflow as tf

from tests import markers


def test_markers_are_found_in_every_kind_of_file(tmp_path):
    word = "Quillfeather"
    (tmp_path / "plain.json").write_text(f'{{"name": "{word.upper()}"}}')
    (tmp_path / "wide.txt").write_bytes(word.encode("utf-16"))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(word.encode()))
    np.savez_compressed(tmp_path / "arrays.npz", names=np.array([word, "other"]))
    pd.DataFrame({"patient": [word] * 9}).to_parquet(tmp_path / "table.parquet", compression="zstd")
    with tf.io.TFRecordWriter(str(tmp_path / "records.tfrecord")) as writer:
        writer.write(word.encode())
    with tf.summary.create_file_writer(str(tmp_path / "events")).as_default():
        tf.summary.text("who", word, step=0)
    (tmp_path / f"{word}.txt").write_text("nothing within")
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), tmp_path / "bare.nii")
    markers.plant_nifti(tmp_path / "bare.nii", tmp_path / "planted.nii.gz")
    (tmp_path / "clean.txt").write_text("a quill and a feather")
    hits = markers.found(tmp_path, markers.WORDS)
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {path for path, _ in hits} == files - {tmp_path / "clean.txt", tmp_path / "bare.nii"}
    assert {one for path, one in hits if path.name == "planted.nii.gz"} == set(markers.WORDS)
