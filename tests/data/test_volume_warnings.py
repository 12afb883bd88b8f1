"""What is said of volumes is what is wrong with them."""

import dataclasses
import math

import numpy as np

from rembrandt_featgen.data import volume_warnings
from tests.data.test_volume_measures import _measured

FLAGS = "--image_size=240 --crop=none --fit=crop"


def _one(**changes):
    sound = {
        "cut": 0,
        "mask_voxels": 200,
        "content_cut": 0.0,
        "unoriented": "",
        "moved": "",
        "spacing": np.array([5.0, 1, 1]),
    }
    return dataclasses.replace(_measured(1), **{**sound, **changes})


def test_sound_volumes():
    assert volume_warnings.sentences({"A": _one(), "B": _one(content_cut=0.03)}, FLAGS) == []
    assert volume_warnings.sentences({"A": _one(content_cut=math.nan, mask_voxels=0)}, FLAGS) == []  # of version 0.2


def test_what_is_cut_off():
    measured = {"A": _one(content_cut=0.42), "B": _one(), "C": _one(content_cut=0.5), "D": _one(content_cut=0.31)}
    (sentence,) = volume_warnings.sentences(measured, FLAGS)
    assert sentence.startswith(
        f"42% of the head or body of 3 of 4 patients is cut off by {FLAGS} (median; most of C, 50%)"
    )
    assert "--fit=resize" in sentence
    measured = {"A": _one(cut=20), "B": _one(), "C": _one(cut=1, mask_voxels=10_000)}
    (sentence,) = volume_warnings.sentences(measured, FLAGS)
    assert "tumour of 2 of 3 patients is cut off" in sentence
    assert "A (10.0%), C (less than 0.1%);" in sentence
    assert "larger --image_size" in sentence
    (sentence,) = volume_warnings.sentences(measured, "--image_size=128 --crop=auto --fit=resize")
    assert "--crop=none keeps all" in sentence and "take a larger" not in sentence
    measured = {str(number): _one(cut=20) for number in range(5)}
    assert "2 (10.0%) and 2 more" in volume_warnings.sentences(measured, FLAGS)[0]


def test_planes_of_slices():
    assert volume_warnings.sentences({"A": _one(), "B": _one()}, FLAGS) == []
    (sentence,) = volume_warnings.sentences({"A": _one(), "B": _one(plane="sagittal"), "C": _one()}, FLAGS)
    assert "(2 coronal, 1 sagittal)" in sentence


def test_how_volumes_lie():
    measured = {"A": _one(), "B": _one(spacing=np.array([1.0, 5, 1])), "C": _one(unoriented="c.nii, axes LAS")}
    mixed, thick, unoriented = volume_warnings.sentences(measured, FLAGS)
    assert "--slice_axis=auto cuts each volume in its own" in mixed
    assert "--slice_axis=auto" in thick
    assert "(B)" in thick
    assert "c.nii, axes LAS" in unoriented


def test_what_geometry_brought_to_the_first_image():
    measured = {str(number): _one(moved=f"m{number}.nii resampled, corners 30 mm away") for number in range(5)}
    (sentence,) = volume_warnings.sentences({**measured, "9": _one()}, FLAGS)
    assert sentence.startswith("5 patients with files that lie elsewhere than the first image, and that --geometry")
    assert "(0: m0.nii resampled, corners 30 mm away; 1: " in sentence
    assert "; and 2 more)" in sentence
