"""Reads the verdict of a report.json, its contrasts and differences, of which any key may be missing or None."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.evaluation import contrasts
from rembrandt_featgen.measures import differences
from rembrandt_featgen.reporting import records


def word(report: Mapping) -> str:
    """The verdict, one of `differences.WORDS`; "" where there is none, or nothing was compared."""
    return "" if report.get("contrasts") == [] else known_word(report.get("verdict_word"))


def known_word(text) -> str:
    """`text` where it is one of `differences.WORDS`, else ""."""
    return text if isinstance(text, str) and text in differences.WORDS else ""


def sentence(report: Mapping) -> str:
    """The sentence of the verdict, without the word that it begins with, which stands above it; "" if there is none."""
    text = str(report.get("verdict") or "")
    rest = text.removeprefix(f"{word(report).capitalize()}: ") if word(report) else text
    return rest[:1].upper() + rest[1:]


def tone(report: Mapping) -> str:
    """Colour of the verdict: its word, or "open" where it has none."""
    return word(report) or "open"


def compared(report: Mapping) -> list[Mapping]:
    """The contrasts of a study, that of the best pipeline first."""
    return sorted(records.entries(report, "contrasts"), key=lambda one: not is_of_best(one))


def is_of_best(contrast: Mapping) -> bool:
    """Whether a contrast is that of all classifiers."""
    return contrast.get("question") == contrasts.BEST


def chosen(side: Mapping | None) -> list[tuple[str, int]]:
    """Pipelines that one side of a contrast chose, and how often, the most frequent first."""
    counts = records.dig(side, "chosen")
    listed = counts.items() if isinstance(counts, Mapping) else ()
    known = [(str(name), int(n)) for name, times in listed if (n := records.finite(times))]
    return sorted(known, key=lambda one: -one[1])


def most_chosen(side: Mapping | None, of: str = "task") -> str:
    """The pipeline that was chosen most often, "ridge/smote/1 in 9 of 15 tasks"; "" where that is not recorded.

    Args:
      side: of a contrast.
      of: what chose.
    """
    known = chosen(side)
    if not known:
        return ""
    name, times = known[0]
    tasks = sum(n for _, n in known)
    return f"{name} in {times} of {tasks} {of}{'s' * (tasks != 1)}"


def simultaneous(difference: Mapping | None) -> tuple[float, float] | None:
    """Bounds of a difference that hold for all differences of its family at once."""
    return records.pair(records.dig(difference, "simultaneous95"))


def side_of_zero(difference: Mapping | None) -> str:
    """ "higher" or "lower" where the simultaneous bounds exclude 0, "not shown" where they do not; else ""."""
    both = simultaneous(difference)
    if both is None:
        return ""
    return "higher" if both[0] > 0 else "lower" if both[1] < 0 else "not shown"


def shown_bounds(contrast: Mapping) -> tuple[float, float] | None:
    """The 95% interval by which a contrast was judged: of a classifier the one that holds for all of them at once."""
    difference = records.dig(contrast, "difference")
    own = records.pair(records.dig(difference, "ci95"))
    return own if is_of_best(contrast) else simultaneous(difference) or own
