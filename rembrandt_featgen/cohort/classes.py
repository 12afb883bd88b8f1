"""The classes of a run: their names, their order, and which of them is the positive one."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from rembrandt_featgen.core.errors import InputError

# Pairs of names that need no flag, the positive one last.
KNOWN_PAIRS = (("LGG", "HGG"), ("benign", "malignant"), ("control", "case"), ("0", "1"))
# Names of classes become keys of tables beside these, and names of folders and columns.
_RESERVED = ("all", "minority", "total")
_NAME = re.compile(r"[^\W_][\w .+-]*")


@dataclasses.dataclass(frozen=True)
class Classes:
    """Names of the classes of a run; a label is the index of a name.

    Attributes:
      names: in order of their labels, from 0 on.
      positive: the one whose probability figures and tables show where there are two; the last.
    """

    names: tuple[str, ...]
    positive: str

    @classmethod
    def of(cls, names: Iterable[str]) -> Classes:
        """Classes of these names, the last being the positive one.

        Raises:
          ValueError: fewer than two names, or two that differ in their case alone.
        """
        names = tuple(names)
        if len(names) < 2 or len({name.casefold() for name in names}) < len(names):
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
    def positive_first(self) -> tuple[str, ...]:
        """Names in the order in which tables and figures show them: the positive one, then the others by label."""
        return (self.positive, *(name for name in self.names if name != self.positive))

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.names)

    def label(self, name: str) -> int:
        """Label of a class, given by its exact name; ValueError where there is none of that name."""
        if name not in self.names:
            raise ValueError(f"class must be one of {', '.join(self.names)}, received {name!r}")
        return self.names.index(name)

    def match(self, text: str) -> str:
        """The name of the class that a text gives in any case, spaces around it aside; "" where there is none."""
        wanted = text.strip().casefold()
        return next((name for name in self.names if name.casefold() == wanted), "")


def infer(given: Sequence[str], written: Iterable[str], where: str) -> Classes:
    """The classes of a cohort.

    Args:
      given: the names of --classes, the positive one last; none to take a known pair.
      written: the classes of all patients as the cohort names them, in any case.
      where: names the cohort in messages.

    Returns:
      The classes, named as in `given` or in the known pair.

    Raises:
      InputError: a name of `given` cannot be used, `given` and `written` do not fit, or there is no `given` and
        `written` is no known pair.
    """
    texts = sorted({text.strip().casefold(): text.strip() for text in written}.values())
    listed = ", ".join(texts) or "none"
    if given:
        return _given(tuple(name.strip() for name in given), texts, where)
    for text in texts:
        if "," in text:
            raise InputError(
                f"{where} has patients of class {text!r}, and no name of a class may have a comma; write it without "
                "one, such as 1 for 1,0"
            )
    for pair in KNOWN_PAIRS:
        classes = Classes.of(pair)
        if texts and all(classes.match(text) for text in texts):
            return classes
    both = ("control,case",) if len(texts) < 2 else (",".join(texts), ",".join(texts[::-1]))
    example = " or ".join(f"--classes={pair}" for pair in both) if len(texts) < 3 else "--classes=NEGATIVE,POSITIVE"
    raise InputError(
        f"{where} has patients of class {listed}, and which class is the positive one is not known; name all classes "
        f"with --classes, the positive one last, such as {example}, and correct labels that are misspelt"
    )


def without_decimals(texts: Sequence[str]) -> list[str]:
    """Labels such as 1.0 (or 1,0), as some programs write a column of 1 with blanks, as 1, where all are so."""
    return [text[:-2] for text in texts] if all(text[-2:] in (".0", ",0") for text in texts if text) else list(texts)


def parse_counts(items: Sequence[str], flag: str) -> dict[str, int]:
    """What a flag such as --test_counts=LGG:4,HGG:7 says.

    Args:
      items: its parts between commas.
      flag: its name, for messages.

    Returns:
      Class, as written, to number.

    Raises:
      InputError: a part is not of this form, or a class is there twice.
    """
    pairs = [item.rpartition(":") for item in items]
    counts = {name.strip().casefold(): number for name, _, number in pairs if name.strip()}
    try:
        numbers = [int(number) for number in counts.values()]
    except ValueError:
        numbers = []
    if len(numbers) < len(items):
        raise InputError(f"{flag}={','.join(items)}: write it as LGG:4,HGG:7, each class once")
    return {name.strip(): number for (name, _, _), number in zip(pairs, numbers)}


def _given(names: tuple[str, ...], texts: Sequence[str], where: str) -> Classes:
    """The classes of --classes, if the texts of a cohort are all of them."""
    flag = f"--classes={','.join(names)}"
    bad = [name for name in names if not _NAME.fullmatch(name) or name.casefold() in _RESERVED]
    if bad:
        raise InputError(
            f"{flag}: {bad[0]!r} cannot be the name of a class; use letters, digits, spaces, '.', '+', '-' and '_', a "
            f"letter or digit first, and none of {', '.join(_RESERVED)}"
        )
    try:
        classes = Classes.of(names)
    except ValueError as error:
        raise InputError(f"{flag}: give two names or more, each once, the positive one last") from error
    missing = sorted(set(names) - {classes.match(text) for text in texts})
    if missing:
        raise InputError(
            f"{flag}: {where} has no patient of class {missing[0]!r}, only of {', '.join(texts) or 'none'}; correct "
            "the name, or add such patients"
        )
    unknown = [text for text in texts if not classes.match(text)]
    if unknown:
        raise InputError(
            f"{where} has patients of class {unknown[0]!r}, which {flag} does not name; correct those "
            "labels, or leave those patients out"
        )
    return classes
