"""The classes of a run: their names, their order, and which of them is the positive one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rembrandt_featgen.core.errors import InputError

# Pairs of names that need no flag, the positive one last.
KNOWN_PAIRS = (("LGG", "HGG"), ("benign", "malignant"), ("control", "case"), ("0", "1"))


class Classes(NamedTuple):
    """Names of the classes of a run; a label is the index of a name.

    Attributes:
      names: in order of their labels, from 0 on.
      positive: the one whose probability figures and tables show, where there are two; the last.
    """

    names: tuple[str, ...]
    positive: str

    @classmethod
    def of(cls, names: Iterable[str]) -> Classes:
        """Classes of these names, the last being the positive one; ValueError for fewer than two or one given twice."""
        names = tuple(names)
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(f"classes need two or more names, each once; received {', '.join(names) or 'none'}")
        return cls(names, names[-1])

    @classmethod
    def of_record(cls, record: Mapping) -> Classes:
        """Classes as `record` keeps them: {"names": [...], "positive": name}."""
        return cls(tuple(record["names"]), record["positive"])

    @property
    def record(self) -> dict:
        """What stage.json keeps."""
        return {"names": list(self.names), "positive": self.positive}

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.names)

    def label(self, name: str) -> int:
        """Label of a class; ValueError where there is none of that name."""
        if name not in self.names:
            raise ValueError(f"class must be one of {', '.join(self.names)}, received {name!r}")
        return self.names.index(name)


def infer(given: Sequence[str], written: Iterable[str], where: str) -> Classes:
    """The classes of a cohort.

    Args:
      given: the names of --classes, in any case; none to take a known pair.
      written: the classes of all patients, as the cohort names them.
      where: names the cohort in messages.

    Raises:
      InputError: `given` and `written` do not fit, there are not two classes, or they are no known pair.
    """
    found = sorted(set(written))
    if given:
        if len(set(given)) < 2 or len(set(given)) < len(given):
            raise InputError(f"--classes={','.join(given)}: give each class once, the positive one last")
        unknown = [name for name in found if name not in given]
        if unknown:
            raise InputError(
                f"{where} has patients of class {unknown[0]!r}, which --classes={','.join(given)} does not name; add "
                "it, or leave those patients out"
            )
        missing = [name for name in given if name not in found]
        if missing:
            raise InputError(
                f"--classes={','.join(given)}: {where} has no patient of class {missing[0]!r} (found "
                f"{', '.join(found) or 'none'}); leave it out, or add such patients"
            )
        return Classes.of(given)
    for pair in KNOWN_PAIRS:
        if set(found) <= set(pair):
            return Classes.of(pair)
    raise InputError(
        f"{where} has the classes {', '.join(found) or 'none'}, and which is the positive one is not known; name them "
        f"with --classes, the positive one last, such as --classes={','.join(found) or 'control,case'}"
    )
