"""The differences of AUROC that a study's report.json holds, each with its error, for pooling over studies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, stats

from rembrandt_featgen.core import json_files, paths, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation.few_shot_generators import Generated
from rembrandt_featgen.measures import differences
from rembrandt_featgen.measures.differences import Difference

REPORT = "report.json"
ALL = "all"  # shots of a study that cuts no class
_LISTS = ("contrasts", "arms", "rows")  # of a report: what is pooled
_PARTS = ("cohort", "cross_validation", "against_best")  # what else is read
_LARGEST = 1e15  # number: no count or measure is larger
_FOLDERS = ("fewshot", "study", "report")  # of a run, those whose report is of a study


@dataclasses.dataclass(frozen=True)
class Task:
    """A difference of AUROC in one study.

    Attributes:
      data_set: name; studies of the same name are of the same patients.
      contrast: whether of the best pipelines with and without generation, or of an arm and "none".
      arm, kind: of the arm; "" of a contrast.
      classifier: `contrasts.BEST` for all of them.
      shots: number of patients of the class that was cut, or `ALL`.
      found: the difference.
    """

    data_set: str
    contrast: bool
    arm: str
    kind: str
    classifier: str
    shots: str
    found: Difference


def find(study: str) -> tuple[str, Path]:
    """Name of the data set and report.json of one value of --studies.

    Args:
      study: "DIR" or "NAME=DIR": folder of a finished study, or the one in it that has report.json.

    Raises:
      InputError: there is no report, or there are several, or NAME or DIR is empty.
    """
    name, equals, folder = study.partition("=")
    if not study.strip() or (equals and not (name.strip() and folder.strip())):
        raise InputError(f"--studies={study}: write DIR or NAME=DIR, neither of them empty")
    path = Path(paths.expanded(folder if equals else study))
    data_set = name if equals else path.resolve().name
    if (path / REPORT).is_file():
        return data_set, path / REPORT
    inside = [path / each for each in _FOLDERS if (path / each / REPORT).is_file()]
    if not inside:
        raise InputError(
            f"--studies={study}: there is no {REPORT} of a study in {path}; give the --run_dir of a finished "
            "evaluate_features, crossvalidate or fewshot"
        )
    if len(inside) > 1:
        raise InputError(
            f"--studies={study}: {path} has a {REPORT} in each of {', '.join(each.name for each in inside)}; which? "
            f"Name the folder itself, such as --studies={data_set}={inside[0]}"
        )
    return data_set, inside[0] / REPORT


def read(name: str, path: Path) -> Mapping:
    """What report.json of a study holds.

    Args:
      name: of the data set.
      path: of report.json.

    Raises:
      InputError: it is damaged, or no report of a study.
    """
    fix = f"finish that study (run its command again), or leave it out of --studies={name}=..."
    report = json_files.read_json(path, fix=fix)
    lists = [report.get(key) or [] for key in _LISTS] if isinstance(report, Mapping) else [None]
    parts = [report.get(key) or {} for key in _PARTS] if isinstance(report, Mapping) else []
    whole = all(isinstance(one, Mapping) for one in parts)
    if not whole or not all(isinstance(one, list) and all(isinstance(row, Mapping) for row in one) for one in lists):
        raise InputError(f"{path} is no report of a study; {fix}")
    return report


def features_of(path: Path) -> str | None:
    """Digest of the table that a study is of, as its stage.json says; None of one without such a table.

    Args:
      path: of its report.json.
    """
    record = path.parent / rundir.RECORD
    fix = f"make the study in {path.parent} again, or leave it out of --studies"
    known = json_files.read_json(record, fix=fix) if record.is_file() else {}
    if not isinstance(known, Mapping) or not isinstance(known.get("inputs") or {}, Mapping):
        raise InputError(f"{record} is no record of a stage; {fix}")
    return (known.get("inputs") or {}).get("features_file")


def tasks_of(name: str, report: Mapping, path: Path) -> list[Task]:
    """The differences of a report.json, of a study of arms or a few-shot study.

    Raises:
      InputError: it has none, or what says of which arm one is is missing or damaged.
    """
    of = _Source(name, path)
    tasks = []
    for one in report.get("contrasts") or ():
        # The chance of a generator that was trained once for all seeds shows between divisions alone, see `Contrast`.
        once = one.get("generator_once")
        found = of.by_division(one.get("nadeau_bengio")) if once else of.difference(one.get("difference"))
        if found is not None:
            question = of.need(one, "classifier" if one.get("classifier") else "question", str)
            tasks.append(Task(name, True, "", kind="", classifier=question, shots=_shots(one), found=found))
    rows = [row for row in report.get("arms") or () if row.get("unit", "patient") == "patient"]
    for row in [*rows, *(report.get("rows") or ())]:
        found = of.difference(row.get("difference"))
        if found is not None and row.get("kind") != "none":
            arm, kind, classifier = (of.need(row, key, str) for key in ("arm", "kind", "classifier"))
            tasks.append(Task(name, False, arm, kind=kind, classifier=classifier, shots=_shots(row), found=found))
    if not tasks:
        raise InputError(
            f"{path}: no difference of AUROC with an error is in it; pool reports of evaluate_features, "
            "crossvalidate or fewshot of this version, with 2 arms or more"
        )
    return tasks


def generated(name: str, report: Mapping, path: Path) -> tuple[list[Generated], dict]:
    """Each generator of a few-shot study against the best without one, and what bounds of several studies need of it.

    Args:
      name: of the data set.
      report: what report.json holds.
      path: of report.json.

    Returns:
      None, and nothing, of a study of another plan; else also its "resamples" and "largest", see
      `few_shot_generators.against_best`.

    Raises:
      InputError: a key of it is missing or damaged.
    """
    of, best = _Source(name, path), report.get("against_best") or {}
    made = []
    for row in of.need(best, "rows", list) if best else ():
        found, to_none = (of.difference(of.need(row, key, Mapping)) for key in ("difference", "difference_to_none"))
        if found is not None and to_none is not None:
            shots, classifier, arm = (
                of.need(row, key, kind) for key, kind in (("shots", int), ("classifier", str), ("arm", str))
            )
            made.append(Generated(name, shots, classifier, arm=arm, found=found, to_none=to_none))
    if not made:
        return [], {}
    largest = of.need(best, "largest", list)
    if not largest or not all(map(_is_number, largest)):
        raise of.damaged("largest")
    return made, {"resamples": of.need(best, "resamples", int), "largest": largest}


class _Source(NamedTuple):
    """Whose report.json is read, and where it is."""

    name: str
    path: Path

    def damaged(self, key: str) -> InputError:
        """What a key that is missing, or holds something else, is said to be."""
        return InputError(
            f"{self.path}: {key!r} of a row is missing or damaged; make that study again with this version, or leave "
            f"it out of --studies={self.name}=..."
        )

    def need(self, record: Any, key: str, kind: type) -> Any:
        """A value of a record that is of some kind."""
        value = record.get(key) if isinstance(record, Mapping) else None
        if not isinstance(value, kind) or isinstance(value, bool) or kind is int and not _is_number(value):
            raise self.damaged(key)
        return value

    def numbers(self, record: Mapping, keys: Sequence[str]) -> list[float] | None:
        """The numbers below some keys, of pairs both; None where any is null, as what cannot be known is."""
        found: list = []
        for key in keys:
            value = record.get(key, ...) if isinstance(record, Mapping) else ...
            if value is not None and isinstance(value, (list, tuple)) != (key == "ci95"):
                raise self.damaged(key)
            if isinstance(value, (list, tuple)) and len(value) != 2:
                raise self.damaged(key)
            found += value if isinstance(value, (list, tuple)) else [value]
            if not all(one is None or _is_number(one) for one in found):
                raise self.damaged(key)
        return None if None in found else found

    def difference(self, record: Mapping | None) -> Difference | None:
        """A difference as report.json holds it; None without a finite error."""
        known = None if record is None else self.numbers(record, ("difference", "error", "ci95"))
        if record is None or known is None:
            return None
        value, error, low, high = known
        trainings = self.need({"trainings": record.get("trainings") or 0}, "trainings", int)
        return Difference(value, error, _degrees((high - low) / 2, error), trainings=trainings)

    def by_division(self, record: Mapping | None) -> Difference | None:
        """The difference within the tasks, with Nadeau and Bengio's error; None without a finite one."""
        known = None if record is None else self.numbers(record, ("difference", "ci95"))
        if record is None or known is None or self.need(record, "divisions", int) < 2:
            return None
        value, low, high = known
        divisions = record["divisions"]
        error = (high - low) / 2 / float(stats.t.ppf(1 - differences.LEVEL / 2, divisions - 1))
        return Difference(value, error, divisions - 1.0, trainings=divisions)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST


def _degrees(half: float, error: float) -> float:
    """Degrees of freedom by which the 95% interval is `half` to either side of the value."""
    ratio = half / error if error > 0 else 0.0
    tail = 1 - differences.LEVEL / 2
    if ratio <= stats.t.ppf(tail, 1e4):
        return np.inf
    if ratio >= stats.t.ppf(tail, 0.5):
        return 0.5
    return float(optimize.brentq(lambda df: stats.t.ppf(tail, df) - ratio, 0.5, 1e4))


def _shots(record: Mapping) -> str:
    shots = record.get("shots")
    return ALL if shots is None else str(shots)
