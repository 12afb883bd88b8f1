"""Each generator of a few-shot study against the best that is had without one; bounds of several studies at once.

The arms of a study are compared with real samples alone, which may be no match for weight decay, or for noise. Here the
rival is what the inner folds choose, in each draw, among all pipelines of the same classifier that generate nothing;
and what they choose among all that generate meets what they choose among all that do not.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.evaluation.contrasts import BEST, choose, difference_record
from rembrandt_featgen.evaluation.few_shot_scores import Cohort, Outcome, Row
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.measures import differences, few_shot_errors
from rembrandt_featgen.measures.differences import Difference
from rembrandt_featgen.measures.few_shot_errors import Estimate, Training

_TAIL = 0.1  # of the largest statistics, which are kept: bounds of several studies need what is beyond 95% alone


class Generated(NamedTuple):
    """A generator of a study.

    Attributes:
      data_set: name of the study's.
      shots, classifier, arm: of the generator; the classifier `BEST` and arm "" of what is chosen among all.
      found: its difference to the best without generation.
    """

    data_set: str
    shots: int
    classifier: str
    arm: str
    found: Difference


def against_best(
    tables: Mapping[int, PredictionsTable],
    outcomes: Mapping[Row, Outcome],
    *,
    cohort: Cohort,
    training: Mapping[int, Training],
    margin: float = differences.MARGIN,
) -> dict:
    """The difference of AUROC of each generator to the best pipeline without generation.

    A classifier of fixed strength, such as "mlp@0.001", is compared with what is chosen among all strengths of it, so
    that weight decay is among its rivals.

    Args:
      tables: shots to predictions by all pipelines, with their validation loss.
      outcomes: of these.
      cohort: of these tables.
      training: shots to who was trained on.
      margin: of AUROC, see `differences.word`.

    Returns:
      As report.json holds it: "rows", a list of {"shots", "classifier", "arm", "word", "difference"} with bounds for
      all rows at once, of `BEST`, too; "resamples", their number; and "largest", the largest statistics of these, of
      which `together` makes the bounds of several studies.
    """
    gaps: dict[Row, Estimate] = {}
    for shots, table in tables.items():
        bases = np.array([classifier_kinds.base_of(name) for name in table.classifier.tolist()])
        generative = {
            key for key, _ in table.take((table.kind == "generative") & table.chosen).split("classifier", "arm")
        }
        of_best = [choose(table, generates) for generates in (True, False)]
        if all(map(len, of_best)):
            with_, without = (cohort.outcome(cohort.scores(part)).auroc for part in of_best)
            gaps[Row(shots, BEST, "")] = few_shot_errors.difference(
                with_, without, training=training[shots], drawn=cohort.resamples
            )
        for base in sorted(set(bases.tolist())):
            of_base = sorted(key for key in generative if classifier_kinds.base_of(key[0]) == base)
            rival = choose(table.take(bases == base), False)
            if not len(rival) or not of_base:
                continue
            best = cohort.outcome(cohort.scores(rival)).auroc
            for classifier, arm in of_base:
                gaps[Row(shots, classifier, arm)] = few_shot_errors.difference(
                    outcomes[Row(shots, classifier, arm)].auroc, best, training=training[shots], drawn=cohort.resamples
                )
    found = {key: gap.difference for key, gap in gaps.items()}
    statistics = differences.largest(found, {key: gap.values[:, None] for key, gap in gaps.items()})
    quantile = float(np.quantile(statistics, 1.0 - differences.LEVEL))
    bounds = {key: differences.bounded(one, quantile, statistics) for key, one in found.items()}
    return {
        "rows": [
            {
                **key._asdict(),
                "word": differences.word(one, margin, bounds[key]),
                "difference": difference_record(one, bounds[key]),
            }
            for key, one in found.items()
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
      by these bounds; "words", how many rows have each; "above" and "below": data sets where a generator is beyond 0.
    """
    quantile = quantile_of(studies)
    made = []
    for row in rows:
        bounds = differences.bounded(row.found, quantile, np.zeros(1))
        half = (bounds.high - bounds.low) / 2.0
        record = difference_record(row.found) | {
            "simultaneous95": [bounds.low, bounds.high],
            "detectable": half + row.found.error * float(stats.t.ppf(differences.POWER, row.found.degrees)),
        }
        names = {name: getattr(row, name) for name in Generated._fields[:-1]}
        made.append({**names, "word": differences.word(row.found, margin, bounds), "difference": record})
    sides = {
        side: sorted({row["data_set"] for row in made if beyond(*row["difference"]["simultaneous95"])})
        for side, beyond in (("above", lambda low, high: low > 0), ("below", lambda low, high: high < 0))
    }
    words = {word: sum(row["word"] == word for row in made) for word in differences.WORDS}
    return {"quantile": quantile, "rows": made, "words": words, **sides}


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
