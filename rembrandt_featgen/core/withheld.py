"""Names that nothing may say: in errors and log lines each is replaced by another, which does not identify anybody.

They are learnt as a cohort or table is read (`cohort.pseudonyms`), and hold for this process until `forget`.
"""

from __future__ import annotations

import logging as standard
import re
from collections.abc import Mapping

from absl import logging

_SHORT = 4  # of fewer letters a name may be a word or a number of the sentence as well
_others: dict[str, str] = {}
_patterns: list[re.Pattern] = []


def withhold(others: Mapping[str, str]) -> None:
    """Replaces names from now on.

    A name is replaced where it is no part of a longer word; one of fewer than four letters only within a path or in
    quotes.

    Args:
      others: name to what is said instead.
    """
    _others.update({name: other for name, other in others.items() if name})
    _patterns.clear()
    logger = logging.get_absl_logger()
    if _say_others not in logger.filters:
        logger.addFilter(_say_others)


def forget() -> None:
    """Withholds nothing any more."""
    _others.clear()
    _patterns.clear()


def said(text: str) -> str:
    """A text with other names."""
    if not _others:
        return text
    if not _patterns:
        ordered = sorted(_others, key=len, reverse=True)  # the longest first: a visit's id has its patient's
        whole = "|".join(re.escape(name) for name in ordered if len(name) >= _SHORT) or "(?!)"
        short = "|".join(re.escape(name) for name in ordered if len(name) < _SHORT) or "(?!)"
        _patterns.append(re.compile(rf"(?<![^\W_])(?:{whole})(?![^\W_])"))
        _patterns.append(re.compile(rf"(?<=[/'])(?:{short})(?=[/'_.])"))
    for pattern in _patterns:
        text = pattern.sub(lambda found: _others[found[0]], text)
    return text


def other(name: str) -> str:
    """What is said instead of a name; the name itself where it is not withheld."""
    return _others.get(name, name)


def _say_others(record: standard.LogRecord) -> bool:
    """A filter of the logger, before all of its handlers."""
    if _others:
        record.msg, record.args = said(record.getMessage()), ()
    return True
