import dataclasses
import json

import pytest

from rembrandt_featgen.cohort import reading_choice
from rembrandt_featgen.cohort.reading_choice import AS_STORED, Reading
from tests.cohort.refusals import refused


def test_records_come_back():
    reading = Reading("resample", "auto", (1.0, 1.0, 5.0))
    assert Reading.of_record(json.loads(json.dumps(dataclasses.asdict(reading)))) == reading
    assert Reading.of_record(None) == Reading.of_record({}) == AS_STORED  # of an earlier version


def test_flags():
    given = {"geometry": "voxels", "slice_axis": "coronal", "spacing": ["1", "1", "2.5"], "image_size": 240}
    assert Reading.of_flags(given) == Reading("voxels", "coronal", (1.0, 1.0, 2.5))
    assert Reading.of_flags({}) == AS_STORED


@pytest.mark.parametrize(
    "texts", [("1",), ("1", "1"), ("1", "1", "0"), ("1", "1", "x"), ("1", "1", "nan"), ("-1",) * 3]
)
def test_spacings_that_are_none(texts):
    refused(lambda: reading_choice.parse_spacing(texts), f"--spacing={','.join(texts)}:", "1,1,5")


@pytest.mark.parametrize(("before", "now"), [("auto", "auto"), ("real", "yes"), ("unknown", "no")])
def test_what_the_flag_said_before(before, now):
    words = (f"--spacing={before}:", f"--trust_spacing={now}")
    refused(lambda: reading_choice.parse_spacing((before,)), *words)
    refused(lambda: reading_choice.parse_spacing(before), *words)  # as it was recorded


def test_no_spacing():
    assert reading_choice.parse_spacing(()) == reading_choice.parse_spacing(("",)) == ()


@pytest.mark.parametrize(
    ("trained", "asked", "found"),
    [
        ("refuse", "auto", "refuse"),
        ("resample", "auto", "resample"),
        ("voxels", "auto", "refuse"),
        ("refuse", "voxels", "voxels"),
        ("resample", "refuse", "refuse"),
    ],
)
def test_new_patients(trained, asked, found):
    reading = Reading(trained, "auto", (1.0, 1.0, 5.0)).for_new(asked)
    assert reading == Reading(found, "auto", (1.0, 1.0, 5.0))
