"""Reads what a study's report.json holds, of which any key may be missing or None."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

# What a row counts, in the order of the page; patients are what the verdict rests on.
UNITS = ("patient", "slice")
KINDS = {
    "none": "No augmentation",
    "classical": "Classical",
    "generative": "Generative",
    "control": "Controls",
    "other": "Of unknown kind",
}


def class_names(report: Mapping) -> tuple[str, ...]:
    """Names of the classes in the order in which tables show them, the positive one first; () if not recorded."""
    names, positive = dig(report, "classes", "names"), dig(report, "classes", "positive")
    known = [name for name in names if isinstance(name, str)] if isinstance(names, (list, tuple)) else []
    return tuple(sorted(dict.fromkeys(known), key=lambda name: name != positive))


def chance(report: Mapping) -> float:
    """Balanced accuracy of an uninformative classifier; of two classes where they are not recorded."""
    return 1.0 / max(len(class_names(report)), 2)


def positive_class(report: Mapping) -> str:
    """Name of the class whose probability is shown, or what to call it if it is not recorded or there are many."""
    if len(class_names(report)) > 2:
        return "the most probable class"
    return str(dig(report, "classes", "positive") or "the positive class")


def dig(record, *keys):
    """The value below `keys` of nested mappings; None where any of them is missing."""
    for key in keys:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record


def main_settings(report: Mapping, keys: Iterable[str]) -> dict:
    """Settings as they were in use: what "auto" and the size of slices came to, and steps in place of epochs.

    Args:
      report: of a run or a study.
      keys: of the settings, in their order; those that are not known are left out, as is unet_steps where it is 0.
    """
    settings = dig(report, "settings")
    known = {key: settings[key] for key in keys if key in settings} if isinstance(settings, Mapping) else {}
    known.pop("unet_epochs" if known.get("unet_steps") else "unet_steps", None)
    for key, field in (("image_size", "size"), ("normalise", "normalise"), ("crop", "crop"), ("fit", "fit")):
        became = dig(report, "cohort", "preparation", field)
        if key in known and became not in (None, known[key]):
            known[key] = f"{became} (--{key}={known[key]})"
    return known


def finite(value) -> float | None:
    """A number, or None where it is missing, NaN or infinite."""
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None


def pair(bounds) -> tuple[float, float] | None:
    """Both ends of an interval, or None unless both are finite."""
    if not isinstance(bounds, Sequence) or isinstance(bounds, str) or len(bounds) != 2:
        return None
    low, high = map(finite, bounds)
    return None if low is None or high is None else (low, high)


def value(row: Mapping, key: str) -> float | None:
    """A measure of an arm or of a generator.

    Args:
      row: of the arm or generator.
      key: "accuracy_x" is the value of x in row["accuracy"], "acceptance.x" that of x in row["acceptance"].
    """
    if key.startswith("accuracy_"):
        return finite(dig(row, "accuracy", key.removeprefix("accuracy_")))
    group, point, inner = key.partition(".")
    return finite(dig(row, group, inner) if point else dig(row, key))


def bounds(row: Mapping, key: str) -> tuple[float, float] | None:
    """The 95% interval of a measure of an arm."""
    return pair(dig(row, "ci95", key))


def p_text(p) -> str:
    """A p-value in three digits, never 0; nothing if it is not known."""
    p = finite(p)
    return "" if p is None else "<0.001" if p < 0.0005 else f"{p:.3f}"


def is_judged(report: Mapping) -> bool:
    """Whether an independent judge accepted the features of a generator of a study."""
    return any("judge_accuracy_real" in row for row in entries(report, "generators"))


def entries(record: Mapping | None, key: str) -> list[Mapping]:
    """The mappings in a list of the report."""
    listed = dig(record, key)
    return [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, Sequence) else []


def kind(row: Mapping) -> str:
    """Kind of an arm, one of `KINDS`."""
    name = row.get("kind")
    return name if isinstance(name, str) and name in KINDS else "other"


def arms(report: Mapping, unit: str = "patient") -> list[Mapping]:
    """Rows that count `unit`, by kind, in the report's order within a kind."""
    rows = [row for row in entries(report, "arms") if row.get("unit", "patient") == unit]
    return [row for name in KINDS for row in rows if kind(row) == name]


def name(row: Mapping, rows: Sequence[Mapping]) -> str:
    """Name of an arm, with its classifier where `rows` are of several."""
    arm = str(row.get("arm") or "unnamed")
    several = len({other.get("classifier") for other in rows}) > 1
    return f"{arm}, {row['classifier']}" if several and row.get("classifier") else arm


def is_reference(report: Mapping, row: Mapping) -> bool:
    """Whether the other arms of its classifier are compared with this one."""
    of_classifier = dig(report, "reference", "by_classifier", row.get("classifier"))
    arm = of_classifier or dig(report, "reference", "arm")
    return arm is not None and row.get("arm") == arm


def by_classifier(report: Mapping, rows: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """Rows of each classifier ("" where it is not recorded), that of the reference first; their order is kept."""
    grouped: dict[str, list[Mapping]] = {str(dig(report, "reference", "classifier") or ""): []}
    for row in rows:
        grouped.setdefault(str(row.get("classifier") or ""), []).append(row)
    return {classifier: members for classifier, members in grouped.items() if members}


def headed(report: Mapping, rows: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """Rows below headings: of their kind, and of their classifier where there are several."""
    parts_of = by_classifier(report, rows)
    grouped: dict[str, list[Mapping]] = {}
    for classifier, members in parts_of.items():
        for row in members:
            title = KINDS[kind(row)]
            heading = f"{classifier or 'classifier not recorded'}: {title.lower()}" if len(parts_of) > 1 else title
            grouped.setdefault(heading, []).append(row)
    return grouped


def made_elsewhere(report: Mapping) -> bool:
    """Whether a study's features came from a file or arrays, and not from the volumes of a run."""
    if report.get("segmentation") or not dig(report, "cohort", "numbers"):
        return False
    return dig(report, "settings", "features") != ""


def grouping(report: Mapping) -> str | None:
    """What no split divides: "patient", "group" of several patients, or "site"; None where that is not known."""
    validation = dig(report, "cross_validation")
    recorded, plan = dig(validation, "grouping"), dig(validation, "plan")
    if recorded or not plan:
        return recorded
    return "site" if plan == "sites" else "group" if groups(report) else "patient"


def groups(report: Mapping) -> float | None:
    """Number of groups, where some have several patients."""
    number, patients = finite(dig(report, "cohort", "groups")), total(dig(report, "cohort", "patients"))
    return number if number and patients and number < patients else None


def one_sample_each(report: Mapping) -> bool:
    """Whether each patient has one sample, so that rows of samples say again what rows of patients say."""
    patients, samples = dig(report, "cohort", "patients"), finite(dig(report, "cohort", "samples"))
    return samples is not None and samples == total(patients)


def best(rows: Sequence[Mapping]) -> Mapping | None:
    """The row of greatest AUROC."""
    known = [(one, row) for row in rows if (one := value(row, "auroc")) is not None]
    return max(known, key=lambda pair: pair[0], default=(None, None))[1]


def parts(splits, key: str) -> dict[str, Mapping]:
    """Split to the mapping below `key`, of the splits that have one."""
    found = {split: dig(entry, key) for split, entry in splits.items()} if isinstance(splits, Mapping) else {}
    return {split: entry for split, entry in found.items() if isinstance(entry, Mapping)}


def having(splits, *keys: str) -> dict[str, Mapping]:
    """Split to its entry, of the splits that have a mapping below any of `keys`."""
    named = {split for key in keys for split in parts(splits, key)}
    return {split: entry for split, entry in splits.items() if split in named} if named else {}


def named_values(listed) -> list[tuple[str, float]]:
    """Pairs of a name and a number; what is neither is left out."""
    pairs = [entry for entry in listed if isinstance(entry, Sequence) and len(entry) == 2] if listed else []
    return [(str(name), number) for name, one in pairs if (number := finite(one)) is not None]


def copied(generator: Mapping) -> list[tuple[str, int]]:
    """Patients whom a generator copies most, and the number of near copies of each."""
    listed = dig(generator, "memorisation", "most_copied") or []
    return [(str(entry[0]), entry[1]) for entry in listed if isinstance(entry, Sequence) and len(entry) == 2]


def total(counts) -> int | None:
    """Sum of the counts of all classes; None unless all are known."""
    return int(sum(known)) if isinstance(counts, Mapping) and (known := _all_finite(counts.values())) else None


def deviation(values) -> float | None:
    """Standard deviation of a sample; None of fewer than two known values."""
    known = _all_finite(values) if isinstance(values, Sequence) else []
    return statistics.stdev(known) if len(known) > 1 else None


def _all_finite(values: Iterable) -> list[float]:
    """The values as numbers; none of them if any is missing, NaN or infinite."""
    known = [finite(value) for value in values]
    return [number for number in known if number is not None] if None not in known else []


def power(report: Mapping) -> list[tuple[float, float]]:
    """Patients and power of each point of the power curve that is known."""
    points = [(finite(entry.get("patients")), finite(entry.get("power"))) for entry in entries(report, "power")]
    return [(patients, share) for patients, share in points if patients is not None and share is not None]
