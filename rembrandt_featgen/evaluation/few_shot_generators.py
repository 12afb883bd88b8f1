"""Each generator of a few-shot study against the best that is had without one; bounds of several studies at once.

The arms of a study are compared with real samples alone, which may be no match for weight decay, or for noise. Here the
rival is what the inner folds choose, in each draw, among all pipelines of the same classifier that generate nothing;
and what they choose among all that generate meets what they choose among all that do not. Few patients may choose
badly there: "helped" asks for more than real samples alone, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.evaluation.contrasts import BEST, difference_record
from rembrandt_featgen.evaluation.few_shot_choices import NONE, WITHOUT, Choices
from rembrandt_featgen.evaluation.few_shot_scores import Outcome, Row
from rembrandt_featgen.measures import differences
from rembrandt_featgen.measures.differences import Bounds, Difference
from rembrandt_featgen.measures.few_shot_errors import Estimate

_BEST = "best"  # rival of a generator, beside `NONE`
_TAIL = 0.1  # of the largest statistics, which are kept: bounds of several studies need what is beyond 95% alone


class Generated(NamedTuple):
    """A generator of a study.

    Attributes:
      data_set: name of the study's.
      shots, classifier, arm: of the generator; the classifier `BEST` and arm "" of what is chosen among all.
      found: its difference to the best without generation.
      to_none: that to real samples alone.
    """

    data_set: str
    shots: int
    classifier: str
    arm: str
    found: Difference
    to_none: Difference


def against_best(choices: Choices, outcomes: Mapping[Row, Outcome], *, margin: float = differences.MARGIN) -> dict:
    """The difference of AUROC of each generator to the best pipeline without generation.

    A classifier of fixed strength, such as "mlp@0.001", is compared with what is chosen among all strengths of it, so
    that weight decay is among its rivals.

    Args:
      choices: what inner folds chose.
      outcomes: of all pipelines of the same tables.
      margin: of AUROC, see `differences.word`.

    Returns:
      As report.json holds it: "rows", a list of {"shots", "classifier", "arm", "word", "difference",
      "difference_to_none"} with bounds for all of these at once, of `BEST`, too; "resamples", their number; and
      "largest", the largest statistics of these, of which `together` makes the bounds of several studies.
    """
    gaps: dict[tuple[Row, str], Estimate] = {}
    for shots, table in choices.tables.items():
        generated = table.take((table.kind == "generative") & table.chosen)
        if not len(generated):
            continue
        known = choices.classifiers(shots)
        gaps |= {
            (Row(shots, BEST, ""), rival): choices.gap(shots, known, side)
            for rival, side in ((_BEST, WITHOUT), (NONE, NONE))
        }
        for (classifier, arm), _ in generated.split("classifier", "arm"):
            row, base = Row(shots, classifier, arm), classifier_kinds.base_of(classifier)
            of_kind = [name for name in known if classifier_kinds.base_of(name) == base]
            rivals = {_BEST: choices.outcome(shots, of_kind, WITHOUT), NONE: outcomes[row._replace(arm=NONE)]}
            for rival, outcome in rivals.items():
                gaps[row, rival] = choices.difference(shots, outcomes[row].auroc, outcome.auroc)
    found = {key: gap.difference for key, gap in gaps.items()}
    statistics = differences.largest(found, {key: gap.values[:, None] for key, gap in gaps.items()})
    quantile = float(np.quantile(statistics, 1.0 - differences.LEVEL))
    bounds = {key: differences.bounded(one, quantile, statistics) for key, one in found.items()}
    rows = [row for row, rival in gaps if rival == _BEST]
    return {
        "rows": [
            {
                **row._asdict(),
                "word": _word(found[row, _BEST], bounds[row, _BEST], bounds[row, NONE], margin=margin),
                "difference": difference_record(found[row, _BEST], bounds[row, _BEST]),
                "difference_to_none": difference_record(found[row, NONE], bounds[row, NONE]),
            }
            for row in rows
        ],
        "resamples": len(statistics),
        "largest": np.sort(statistics)[::-1][: int(np.ceil(_TAIL * len(statistics)))].tolist(),
    }


def together(rows: Sequence[Generated], studies: Sequence[Mapping], *, margin: float = differences.MARGIN) -> dict:
    """The same of several studies, with bounds that hold for all their rows at once.

    Studies are taken as independent; of those that share patients the bounds are wider than they need be (Sidak).

    Args:
      rows: of all studies.
      studies: "resamples" and "largest" of each, as `against_best` has them.
      margin: of AUROC, see `differences.word`.

    Returns:
      "quantile" of the largest statistic of all; "rows", each with its "word" and "difference", whose "detectable" is
      by these bounds; and "words", how many rows have each.
    """
    quantile = quantile_of(studies)
    made = []
    for row in rows:
        bounds, to_none = (differences.bounded(one, quantile) for one in (row.found, row.to_none))
        made.append(
            {
                **{name: getattr(row, name) for name in Generated._fields[:-2]},
                "word": _word(row.found, bounds, to_none, margin=margin),
                "difference": difference_record(row.found, bounds),
                "difference_to_none": difference_record(row.to_none, to_none),
            }
        )
    words = {word: sum(row["word"] == word for row in made) for word in differences.WORDS}
    return {"quantile": quantile, "rows": made, "words": words}


def quantile_of(studies: Sequence[Mapping]) -> float:
    """What the largest statistic of all studies is below with 95%, where they are independent.

    Args:
      studies: see `together`.
    """
    tails = [(np.sort(one["largest"]), one["resamples"]) for one in studies]
    values = np.unique(list(itertools.chain.from_iterable(tail.tolist() for tail, _ in tails)))
    inside = np.ones(len(values))
    for tail, number in tails:
        inside *= 1.0 - (len(tail) - np.searchsorted(tail, values, side="right")) / number
    return float(values[np.flatnonzero(inside >= 1.0 - differences.LEVEL)[0]])


def _word(found: Difference, bounds: Bounds, to_none: Bounds, *, margin: float) -> str:
    return differences.word_beyond_none(differences.word(found, margin, bounds), to_none)
