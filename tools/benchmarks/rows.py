"""Rows of benchmark.json and of its table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def row(name: str, value: float, unit: str, *, other: float | None = None, against: str | None = None) -> dict:
    """One measure; its ratio is that of `value` to `other`, which is what `against` names, in the same unit.

    Args:
      name: of the measure.
      value, unit: what was measured.
      other: the value that it is compared with, if there is one.
      against: what that is the value of.
    """
    ratio = None if other is None else value / other
    return {"name": name, "value": value, "unit": unit, "ratio": ratio, "against": against}


def of_precisions(name: str, speed: Mapping[str, float], unit: str, precisions: Sequence[str]) -> list[dict]:
    """A row for each precision, the first being what the others are compared with.

    Args:
      name: of the rows, with {} in the place of the precision.
      speed: by precision, in `unit`.
      unit: of the speeds.
      precisions: in order.
    """
    reference, *others = precisions
    rows = [row(name.format(reference), speed[reference], unit)]
    return rows + [row(name.format(one), speed[one], unit, other=speed[reference], against=reference) for one in others]


def against_pytorch(names: Mapping[str, str], speed: Mapping[str, float], unit: str) -> list[dict]:
    """A row for each precision in which PyTorch was measured.

    Args:
      names: of the rows, by precision.
      speed: by precision, and of PyTorch by "pytorch <precision>", in `unit`.
      unit: of the speeds.
    """
    peers = {precision: f"pytorch {precision}" for precision in names if f"pytorch {precision}" in speed}
    return [row(names[one], speed[one], unit, other=speed[peer], against=peer) for one, peer in peers.items()]


def named_by_last(name: str, precisions: Sequence[str]) -> dict[str, str]:
    """Names of rows by precision: the last one's is `name` without {}, in the others {} becomes "_<precision>"."""
    return {one: name.format("" if one == precisions[-1] else f"_{one}") for one in precisions}


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
