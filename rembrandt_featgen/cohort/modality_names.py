"""Names that data sets give to the same modality: `--modalities=flair` takes the file that BraTS 2023 calls t2f."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

# In lower case, without what separates words; the first is the name in this program's words.
_ALIASES = (
    ("flair", "t2f", "t2flair", "flairt2"),
    ("t1", "t1n", "t1w", "t1pre"),
    ("t1ce", "t1c", "t1gd", "t1gad", "t1gado", "t1post", "t1wgd", "t1wce", "t1wc", "t1wpost"),
    ("t2", "t2w"),
)


@functools.lru_cache(maxsize=1024)
def normal(name: str) -> str:
    """A name in lower case, without what separates its words: T2-FLAIR is t2flair."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


@functools.lru_cache(maxsize=1024)
def canonical(name: str) -> str:
    """The first of a modality's names: t1ce for T1Gd; of one that has no other, the name itself, in lower case."""
    return next((names[0] for names in _ALIASES if normal(name) in names), normal(name))


def same(one: str, other: str) -> bool:
    """Whether two names are of the same modality."""
    return canonical(one) == canonical(other)


def position(names: Iterable[str], modality: str) -> int | None:
    """Where a modality is among names, in any spelling, the same spelling first; None where it is not."""
    listed = list(names)
    for alike in (lambda name: normal(name) == normal(modality), lambda name: same(name, modality)):
        hits = [number for number, name in enumerate(listed) if alike(name)]
        if hits:
            return hits[0]
    return None
