"""Whose visit an id is, by the public data sets' ways to name visits; and ids that nobody can tell apart."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping

from absl import logging

from rembrandt_featgen.cohort import confusable_names
from rembrandt_featgen.core.errors import InputError

_DATE = r"(?:19|20)\d\d(?:[.-]\d\d[.-]\d\d|(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))"
# Each finds the patient, its first group, in the whole id of a visit.
_VISITS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(BraTS-[A-Za-z]+(?:-RT)?-\d+)-\d+",  # BraTS 2023 on: BraTS-GLI-00005-000 and -001, BraTS-MEN-RT-0002-1
        r"(Bra[tT][sS]1[789]_[A-Z0-9]+_\w+)_\d+",  # 2017 to 2019: Brats18_TCIA01_390_1
        r"(brats_(?:2013|tcia)_pat\d+)_\d+",  # 2015: brats_tcia_pat153_0002 and _0181
        r"(TCGA[-_][A-Z0-9]{2}[-_][A-Z0-9]{4})[-_].+",  # TCGA-02-0006_1996.08.23, TCGA_CS_4941_19960909
        r"(UPENN-GBM-\d+)_\d\d",  # _11 before surgery, _21 after
        r"(UCSF-PDGM-\d+)_FU\d+d",  # follow-up after so many days
        r"(sub-[A-Za-z0-9]+)_ses-.+",  # BIDS
        rf"(.+?)[_-]{_DATE}",  # REMBRANDT: 900-00-5299_2005.03.22, HF1318_1994.04.23; other dated ids
    )
)


@functools.lru_cache(maxsize=1 << 16)  # a table of labels asks for each id in each way
def patient_of(name: str) -> str:
    """The patient whose visit an id names, such as BraTS-GLI-00005 for BraTS-GLI-00005-001; else the id itself."""
    for pattern in _VISITS:
        found = pattern.fullmatch(name)
        if found:
            return found[1]
    return name


def group_of(name: str, pattern: str) -> str:
    """What --group_pattern finds in an id, its first group; "" where it finds nothing.

    Raises:
      InputError: the pattern is no regular expression with a group.
    """
    try:
        found = re.search(pattern, name)
        return (found[1] or "") if found else ""
    except (re.error, IndexError) as error:
        raise InputError(
            f"--group_pattern={pattern} is no regular expression with a group ({error}); write it like ^(.+)_visit"
        ) from error


def groups_by_name(names: Iterable[str], pattern: str) -> dict[str, str]:
    """The group of each id: what --group_pattern finds, else the patient whose visit it is; logs which are joined.

    Args:
      names: of patients, or of their visits.
      pattern: of --group_pattern; "" for the ways to name visits that are known here.

    Raises:
      InputError: the pattern is none, or finds nothing in any of the ids.
    """
    ids = list(names)
    if not pattern:
        groups = {name: patient_of(name) for name in ids}
    else:
        found = {name: group_of(name, pattern) for name in ids}
        if ids and not any(found.values()):
            raise InputError(
                f"--group_pattern={pattern} finds nothing in any patient's id, such as {ids[0]}; correct it, or leave "
                "it out"
            )
        groups = {name: group or name for name, group in found.items()}
        alone = [name for name, group in found.items() if not group]
        if alone:
            logging.warning("--group_pattern=%s finds nothing in %d ids, such as %s", pattern, len(alone), alone[0])
    members: dict[str, list[str]] = {}
    for name, group in groups.items():
        members.setdefault(group, []).append(name)
    joined = {group: visits for group, visits in members.items() if len(visits) > 1}
    if joined:
        group, visits = next(iter(joined.items()))
        logging.info(
            "%d of %d ids are of %d patients or groups by their names, such as %s of %s: no split divides them (%s)",
            sum(map(len, joined.values())),
            len(ids),
            len(joined),
            " and ".join(visits[:2]),
            group,
            f"--group_pattern={pattern}" if pattern else "--group_pattern overrules this",
        )
    return groups


def counted(ids: Mapping[str, str]) -> str:
    """How many they are: "24 patients", or "33 visits of 24 patients".

    Args:
      ids: of patients or visits, to their groups.
    """
    noun, whole = nouns(ids)
    number = len(set(ids.values()))
    of = f" of {number} {whole if number != 1 else whole.removesuffix('s')}" if whole else ""
    return f"{len(ids)} {noun if len(ids) != 1 else noun.removesuffix('s')}{of}"


def nouns(ids: Mapping[str, str]) -> tuple[str, str]:
    """What ids are, and what their groups are: visits and patients where names or groups say so; "" for the latter
    where each group has one.

    Args:
      ids: of patients or visits, to their groups.
    """
    groups = set(ids.values())
    if len(groups) == len(ids):
        return "patients", ""
    visits = all(patient_of(name) == group or name.startswith(group) for name, group in ids.items())
    return ("visits", "patients") if visits else ("patients or visits", "groups")


def check_alike(names: Iterable[str], where: str, what: str = "patients") -> None:
    """InputError for two ids that may be one patient, and for one with a tab, a line end or a sign without width.

    They may be one that differ in case, in blanks, in - and _ alone, or in letters of other scripts that look alike.

    Args:
      names: ids, each once.
      where: flag and file, for the message.
      what: they are, "patients", "groups" or "sites".
    """
    first: dict[str, str] = {}
    for name in names:
        sign = confusable_names.hidden(name)
        if sign:
            raise InputError(
                f"{where}: {what} {name!a} has {unicodedata.name(sign, 'a control sign')} ({sign!a}), which tables and "
                "names of files cannot show; take it out"
            )
        looks = confusable_names.looks(name)
        for key in {re.sub(r"\s", "", looks), spelling(looks)}:
            other = first.setdefault(key, name)
            if other != name:
                raise InputError(
                    f"{where}: {what} {other!a} and {name!a} look alike, or differ in case, blanks, - or _ alone; "
                    f"spell them alike if they are one {what.removesuffix('s')}, which splits are not to divide, else "
                    "rename one"
                )


@functools.lru_cache(maxsize=1 << 16)
def spelling(name: str) -> str:
    """An id without what people spell differently: in lower case, each run of blanks, - and _ as one _."""
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()
