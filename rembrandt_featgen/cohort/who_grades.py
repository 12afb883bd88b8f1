"""Grades of gliomas as people write them: low (LGG, WHO 2) or high (HGG, WHO 3 and 4)."""

from __future__ import annotations

import re

from rembrandt_featgen.cohort.patients import Problem

GLIOMAS = ("LGG", "HGG")  # the positive one last
_WHO = {"LGG": "LGG", "2": "LGG", "II": "LGG", "HGG": "HGG", "3": "HGG", "III": "HGG", "4": "HGG", "IV": "HGG"}
_GRADE = re.compile(r"(?:WHO\s*)?(?:GRADE\s*|G)?(" + "|".join(_WHO) + r")(?:\.0)?")


def parse_grade(text: str, where: str) -> str:
    """The class that a grade belongs to, in any case: LGG (also WHO 2, II, G2, grade II) or HGG (3, III, 4, IV).

    Args:
      text: what was written.
      where: file and patient, for the message.

    Returns:
      One of GLIOMAS.

    Raises:
      InputError: the text is blank or no such grade.
    """
    match = _GRADE.fullmatch(text.strip().upper())
    if not match:
        problem = f"grade {text.strip()!r} is not known" if text.strip() else "no grade"
        raise Problem(
            "label",
            f"{where}: {problem}; write LGG (WHO 2) or HGG (WHO 3, 4), name other classes with --classes, or leave "
            "this patient out of --cohort (as --incomplete=leave_out does)",
        )
    return _WHO[match[1]]
