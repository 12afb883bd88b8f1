"""Rows of benchmark.json and of its table."""

from __future__ import annotations

from collections.abc import Iterable


def row(name: str, value: float, unit: str, other: float | None = None, against: str | None = None) -> dict:
    """One measure; its ratio is that of `value` to `other`, which is what `against` names, in the same unit.

    Args:
      name: of the measure.
      value, unit: what was measured.
      other: the value that it is compared with, if there is one.
      against: what that is the value of.
    """
    ratio = None if other is None else value / other
    return {"name": name, "value": value, "unit": unit, "ratio": ratio, "against": against}


def merged(before: Iterable[dict], now: Iterable[dict]) -> list[dict]:
    """The rows of `before` with those of `now` in the place of their names, or at the end."""
    return list({found["name"]: found for found in [*before, *now]}.values())


def table(rows: Iterable[dict]) -> str:
    """Rows in Markdown."""
    lines = ["| name | value | unit | ratio | against |", "|---|---|---|---|---|"]
    for found in rows:
        ratio = "–" if found["ratio"] is None else f"{found['ratio']:.3g}"
        value = f"{found['value']:.4g}"
        lines.append(f"| {found['name']} | {value} | {found['unit']} | {ratio} | {found['against'] or '–'} |")
    return "\n".join(lines) + "\n"
