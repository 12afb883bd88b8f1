"""Patients whom several studies have in common, by their ids, and whether ids can say so."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pyarrow.csv
from scipy import stats

from rembrandt_featgen.cohort.confusable_names import looks
from rembrandt_featgen.cohort.visit_names import patient_of, spelling
from rembrandt_featgen.core.errors import InputError

_FILES = "predictions*.csv"  # beside report.json
# Words of ids that unrelated cohorts have in common: what is counted, of which disease, seen by what.
_COMMON = (
    "ad adc brain case cases cohort control ct data exam gbm glioma hc healthy hgg id image img lesion lgg liver lung "
    "mci meningioma mr mri nc nodule normal patient pat pet phantom pid prostate pt record row s sample scan series "
    "site ses session set slice study sub subj subject test train tumor tumour us val vol volume vs"
)
_ALIKE = frozenset(_COMMON.split())
_LONG = 9  # digits of an id, zeros before them aside, that no counter has
_RARE = 1e-3  # probability of so many common numbers by chance, below which they are not taken for that
_MOVED = 11  # by how much less than this numbers are moved, to see what chance does


class Shared(NamedTuple):
    """Ids that two data sets have in common.

    Attributes:
      sure: how many of them unrelated cohorts would not have in common.
      perhaps: how many are counters, as unrelated cohorts may have them, too.
    """

    sure: int
    perhaps: int


def ids_of(report: Path) -> frozenset[str]:
    """The patients whom a study tested, as spelt alike everywhere; none where no table of predictions is beside it.

    Args:
      report: report.json of the study.

    Raises:
      InputError: a table is damaged.
    """
    found: set[str] = set()
    options = pyarrow.csv.ConvertOptions(include_columns=["patient"], column_types={"patient": pyarrow.string()})
    for path in sorted(report.parent.glob(_FILES)):
        try:
            with pyarrow.csv.open_csv(path, convert_options=options) as batches:
                for batch in batches:
                    found.update(batch.column(0).unique().to_pylist())
        except (pyarrow.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: no table of predictions ({reason}); make its study again") from error
    return frozenset(spelling(looks(patient_of(name))) for name in found)


def shared(one: Iterable[str], other: Iterable[str]) -> Shared:
    """How many patients two data sets have in common.

    An id says who is meant if a word in it is of its own, as in UCSF-PDGM-0004, or if it has many digits. Of other ids,
    such as 17 or patient_017, as many are in common by chance as `_by_chance` says.

    Args:
      one, other: ids of each, of `ids_of`.
    """
    sets = (frozenset(one), frozenset(other))
    counters: dict[str, int] = {}
    sure = 0
    for name in sets[0] & sets[1]:
        if _says_who(name):
            sure += 1
        else:
            counters[_stem(name)] = counters.get(_stem(name), 0) + 1
    perhaps = 0
    for stem, count in counters.items():
        if stem.count("#") == 1 and _by_chance(stem, count, sets) < _RARE:
            sure += count
        else:
            perhaps += count
    return Shared(sure, perhaps)


def sentences(ids: Mapping[str, frozenset[str]]) -> list[str]:
    """What is to be known of data sets that have patients in common, one sentence of each kind.

    Args:
      ids: of each data set, by its name; none of one whose patients are not known.
    """
    pairs = [(one, other, shared(ids[one], ids[other])) for one, other in itertools.combinations(ids, 2)]
    sure = [f"{one} and {other} {_many(found.sure)}" for one, other, found in pairs if found.sure]
    perhaps = [
        f"{one} and {other} {_many(found.perhaps)}" for one, other, found in pairs if found.perhaps and not found.sure
    ]
    unknown = sorted(name for name in ids if not ids[name])
    lines = []
    if sure:
        lines.append(
            f"Data sets share patients by their ids, and are pooled as if these were different ones, so that intervals "
            f"are too narrow: {'; '.join(sure)}. Leave them out of one data set, or give both one name "
            "(--studies=NAME=DIR,NAME=DIR)."
        )
    if perhaps:
        lines.append(
            f"Data sets perhaps share patients, by ids that are counters, as unrelated ones may have, too: "
            f"{'; '.join(perhaps)}. If they are the same people, give both data sets one name."
        )
    if unknown and len(unknown) < len(ids):
        lines.append(
            f"Whether patients of {', '.join(unknown)} are among those of others is not known: no {_FILES} is beside "
            "the report."
        )
    return lines


def _many(count: int) -> str:
    return f"{count} patient{'s' * (count != 1)}"


def _stem(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _says_who(name: str) -> bool:
    """Whether unrelated cohorts would not have an id in common, unless by its number."""
    digits = sum(len(run.lstrip("0")) for run in re.findall(r"\d+", name))
    words = re.findall(r"[^\W\d_]+", name)
    return digits >= _LONG or any(len(word) > 1 and word not in _ALIKE for word in words)


def _by_chance(stem: str, count: int, sets: Sequence[frozenset[str]]) -> float:
    """Probability of `count` common numbers or more, if the numbers of both sets had nothing to do with each other.

    How many they then have in common is seen where all numbers of one set are moved up or down by a few: as many as
    before where both count, also by site (1001, 1002, 2001), almost none where numbers lie far apart.
    """
    one, other = ({int(re.findall(r"\d+", name)[0]) for name in ids if _stem(name) == stem} for ids in sets)
    least = min(one | other)
    step = max(math.gcd(*(number - least for number in one | other)), 1)
    moved = [len(one & {number + sign * by * step for number in other}) for by in range(1, _MOVED) for sign in (1, -1)]
    return float(stats.poisson.sf(count - 1, (sum(moved) + 1) / len(moved)))  # none seen is not none expected
