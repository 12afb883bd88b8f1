"""What is said of volumes is what is wrong with them."""

import dataclasses
import math

from rembrandt_featgen.data import volume_warnings
from tests.data.test_volume_measures import _measured

FLAGS = "--image_size=240 --crop=none --fit=crop"


def _one(**changes):
    return dataclasses.replace(_measured(1), **{"cut": 0, "mask_voxels": 200, "content_cut": 0.0, **changes})


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
    measured = {str(number): _one(cut=20) for number in range(5)}
    assert "2 (10.0%) and 2 more" in volume_warnings.sentences(measured, FLAGS)[0]
