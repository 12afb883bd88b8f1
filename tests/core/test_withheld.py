import logging as standard

import pytest
from absl import logging

from rembrandt_featgen.core import remarks, withheld
from rembrandt_featgen.core.errors import InputError


@pytest.fixture(autouse=True)
def names():
    withheld.withhold({"Ann Lee": "P1", "Ann Lee_2": "P1-v", "7": "P7", "0412": "P8", "x(yz": "P9", "": "never"})
    yield
    withheld.forget()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patient Ann Lee is there twice", "patient P1 is there twice"),
        ("/data/Ann Lee_2/Ann Lee_2_flair.nii.gz", "/data/P1-v/P1-v_flair.nii.gz"),
        ("Ann Leek and MAnn Lee", "Ann Leek and MAnn Lee"),
        ("7 patients, '7' in /data/7/7.nii", "7 patients, 'P7' in /data/P7/P7.nii"),
        ("0412 and 20412 of x(yz", "P8 and 20412 of P9"),
    ],
)
def test_names_are_replaced_where_they_stand_alone(text, said):
    assert withheld.said(text) == said
    assert str(InputError(text)) == said


def test_log_lines_have_none_whoever_hears_them():
    lines = []
    handler = standard.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.get_absl_logger().addHandler(handler)
    try:
        with remarks.kept() as kept:
            logging.warning("%s: %d slices", "Ann Lee", 3)
    finally:
        logging.get_absl_logger().removeHandler(handler)
    assert lines == kept.warnings == ["P1: 3 slices"]


def test_what_is_forgotten_is_said_again():
    assert withheld.other("Ann Lee") == "P1"
    withheld.forget()
    assert withheld.other("Ann Lee") == withheld.said("Ann Lee") == "Ann Lee"
    assert str(InputError("Ann Lee")) == "Ann Lee"
