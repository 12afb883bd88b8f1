"""What is logged is kept where somebody asks for it, and goes its usual way."""

import pytest
from absl import logging

from rembrandt_featgen.core import remarks


@pytest.fixture(autouse=True)
def level():
    before = logging.get_verbosity()
    logging.set_verbosity(logging.INFO)
    yield
    logging.set_verbosity(before)


def test_warnings_and_notes_are_kept_once_each():
    logging.warning("before")
    with remarks.kept() as found:
        for _ in range(2):
            logging.warning("%d left out", 3)
        logging.info("layout %s", "bids")
    logging.warning("after")
    assert (found.warnings, found.notes) == (["3 left out"], ["layout bids"])


def test_it_ends_with_an_error():
    handlers = list(logging.get_absl_logger().handlers)
    with pytest.raises(ValueError, match="x"), remarks.kept():
        raise ValueError("x")
    assert logging.get_absl_logger().handlers == handlers


def test_only_errors_are_said_meanwhile_and_the_rest_again_after_an_error():
    with remarks.kept() as found:
        with pytest.raises(ValueError, match="full"), remarks.errors_alone():
            logging.info("wrote a file")
            logging.error("cannot write")
            raise ValueError("disk full")
        logging.info("after")
    assert (found.warnings, found.notes) == (["cannot write"], ["after"])
