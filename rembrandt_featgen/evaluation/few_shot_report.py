"""What report.json holds of a few-shot study: a row for each arm, shots and classifier, and what they add up to."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from rembrandt_featgen.core import json_files
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import few_shot_contrasts, few_shot_generators, few_shot_scores
from rembrandt_featgen.evaluation.arms import ORACLE
from rembrandt_featgen.evaluation.contrasts import difference_record
from rembrandt_featgen.evaluation.few_shot_choices import NONE, Choices
from rembrandt_featgen.evaluation.few_shot_scores import Cohort, Outcome, Row, Trained
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.measures import differences, few_shot_errors, learning_curve
from rembrandt_featgen.measures.few_shot_errors import Estimate, Training


def few_shot_report(
    tables: Mapping[int, PredictionsTable],
    *,
    trained: Trained,
    label: int,
    reserve: int = 0,
    draws: int = 2000,
    seed: int = 0,
    margin: float = differences.MARGIN,
) -> dict:
    """The report of few-shot draws of one class.

    Args:
      tables: shots to the predictions of its draws, one seed for each; the test patients of a draw are the same for
        all shots and arms.
      trained: shots to draw to the ids of the patients that the arms of that draw were trained on, of all classes,
        without those in reserve.
      label: of the class of which few patients are trained on.
      reserve: further groups of it that the arm "oracle" is trained on, 0 without that arm.
      draws, seed: of the bootstrap over patients.
      margin: of AUROC, see `differences.word`.

    Returns:
      Plain as JSON, with "plan", "classes", "cut" (name of the class), "shots", "reserve", "patients" (class to number
      of those who were tested), "groups" (the same of groups), "unit" (what shots count, in words), "draws" (of
      patients to train on), "times_tested" (in how many of them a patient is), "margin", "verdict_word", "verdict" (a
      sentence), "verdict_rule", "contrasts" (see `few_shot_contrasts`), "against_best" (see `few_shot_generators`),
      "curves" and "rows": a list of
      {"shots", "classifier", "arm", "kind", "auroc", "ci95", "difference" (that to "none" at the same shots and
      classifier: `contrasts.difference_record` with "simultaneous95" over all rows; None for "none" itself), "word",
      "log_loss", "log_loss_difference", "worth": {"patients", "ci95", "text", "identifiable", "curve_ends"}}.

    Raises:
      InputError: an arm "none" is missing, or a draw without trained patients.
    """
    tables = dict(sorted(tables.items()))
    _check(tables, trained)
    cohort = few_shot_scores.cohort(tables, few=label, draws=draws, seed=seed)
    training = {shots: cohort.training(trained[shots]) for shots in tables}
    kinds, outcomes, more = {}, {}, training
    parts = [
        (Row(shots, *key), of_arm)
        for shots, table in tables.items()
        for key, of_arm in table.take(table.chosen).split("classifier", "arm")
    ]
    for row, of_arm in tqdm(parts, "resamples", unit="pipeline"):  # minutes of a study of many draws
        scores = cohort.scores(of_arm)
        outcomes[row] = cohort.outcome(scores)
        kinds[row.arm] = str(of_arm.kind[0])
        if row.arm == ORACLE and more is training:
            more = few_shot_scores.with_reserve(training, scores, cohort)
    study = _Study(cohort, training, with_reserve=more, outcomes=outcomes)
    gaps = {row: study.gap(row, "auroc") for row in outcomes if row.arm != NONE}
    bounds = differences.simultaneous(
        {row: gap.difference for row, gap in gaps.items()}, {row: gap.values[:, None] for row, gap in gaps.items()}
    )
    curves = {name: study.curve(name, reserve) for name in dict.fromkeys(row.classifier for row in outcomes)}
    rows = []
    for row in outcomes:
        record = {**row._asdict(), "kind": kinds[row.arm], **study.values(row)}
        gap = gaps.get(row)
        if gap is not None:
            record |= {
                "difference": difference_record(gap.difference, bounds[row]),
                "word": differences.word(gap.difference, margin, bounds[row]),
                "log_loss_difference": difference_record(study.gap(row, "log_loss").difference),
            }
            if not (row.arm == ORACLE and row.shots == max(tables)):  # that is the end of the curve itself
                record["worth"] = curves[row.classifier].worth(gap.values, row.shots).record
        rows.append(record)
    choices = Choices(tables, cohort, training)
    contrasts = few_shot_contrasts.compare(choices, margin=margin)
    word = few_shot_contrasts.word(contrasts)
    classes = next(iter(tables.values())).classes
    patients, groups = (np.bincount(of, minlength=classes.count) for of in (cohort.labels, cohort.resamples.units))
    times = np.isfinite(scores[:, :, 0]).sum(axis=0)  # [patients] draws; all shots and arms test the same patients
    unit = "patients" if patients.sum() == groups.sum() else "groups of patients"
    report = {
        "plan": "few-shot",
        "classes": classes.record,
        "shots": list(tables),
        "reserve": reserve,
        "patients": dict(zip(classes.names, patients.tolist())),
        "groups": dict(zip(classes.names, groups.tolist())),
        "unit": unit,
        "cut": classes.names[label],
        "draws": len(cohort.draws),
        "times_tested": {"least": int(times.min()), "median": float(np.median(times)), "most": int(times.max())},
        "margin": margin,
        "verdict_word": word,
        "verdict": few_shot_contrasts.sentence(
            contrasts, cut=classes.names[label], draws=len(cohort.draws), margin=margin, unit=unit
        )
        + (few_shot_contrasts.of_real_patients(rows, reserve=reserve, unit=unit) if contrasts else ""),
        "verdict_rule": few_shot_contrasts.rule(tables, unit),
        "contrasts": contrasts,
        "against_best": few_shot_generators.against_best(choices, outcomes, margin=margin),
        "curves": [{"classifier": name, **curve.record} for name, curve in curves.items()],
        "rows": rows,
    }
    return json_files.plain(report)


class _Curve(NamedTuple):
    """AUROC of real samples alone, by the number of patients of the class of few."""

    patients: list[int]
    estimates: list[Estimate]
    steps: list[Estimate]  # from each point to the next
    rise: Estimate | None  # the last point less the first

    @property
    def rises(self) -> bool:
        """Whether its end is above its start beyond doubt."""
        return self.rise is not None and self.rise.difference.interval()[0] > 0

    def worth(self, gain: np.ndarray, shots: int) -> learning_curve.Worth:
        """Of an arm whose gain is [1 + resamples]."""
        # Points share patients and draws, as differences of two of them know, and the points alone do not.
        start = np.full(len(gain), self.estimates[0].difference.value)
        values = np.cumsum([start, *(step.values for step in self.steps)], axis=0)
        return learning_curve.worth(self.patients, values, gain=gain, at=shots, rises=self.rises)

    @property
    def record(self) -> dict:
        """As report.json holds it."""
        points = [
            {"patients": n, "auroc": one.difference.value, "ci95": few_shot_errors.interval(one.difference)}
            for n, one in zip(self.patients, self.estimates)
        ]
        rise = None if self.rise is None else difference_record(self.rise.difference)
        return {"points": points, "rise": rise, "rises": self.rises}


class _Study(NamedTuple):
    """All arms, with what their errors need."""

    cohort: Cohort
    training: Mapping[int, Training]
    with_reserve: Mapping[int, Training]
    outcomes: Mapping[Row, Outcome]

    def estimate(self, row: Row, measure: str) -> Estimate:
        """Of a measure of an arm."""
        training = (self.with_reserve if row.arm == ORACLE else self.training)[row.shots]
        return few_shot_errors.estimate(getattr(self.outcomes[row], measure), training, self.cohort.resamples)

    def gap(self, row: Row, measure: str, before: Row | None = None) -> Estimate:
        """The difference of a measure to another row, by default that of `NONE`."""
        before = row._replace(arm=NONE) if before is None else before
        after, other = (getattr(self.outcomes[one], measure) for one in (row, before))
        return few_shot_errors.difference(after, other, training=self.training[row.shots], drawn=self.cohort.resamples)

    def values(self, row: Row) -> dict:
        """AUROC and log loss with their intervals."""
        auroc, loss = (self.estimate(row, measure).difference for measure in Outcome._fields)
        low, high = loss.interval()
        return {
            "auroc": auroc.value,
            "ci95": few_shot_errors.interval(auroc),
            "log_loss": loss.value,
            "log_loss_ci95": (max(low, 0.0), high),
        }

    def curve(self, classifier: str, reserve: int) -> _Curve:
        """The learning curve of a classifier, with the arm of real patients more as its last point."""
        points = {row.shots: row for row in self.outcomes if row.classifier == classifier and row.arm == NONE}
        oracles = [row for row in self.outcomes if row.classifier == classifier and row.arm == ORACLE]
        if oracles and reserve:
            last = max(oracles)
            points[last.shots + reserve] = last
        rows = [points[n] for n in sorted(points)]
        rise = self.gap(rows[-1], "auroc", before=rows[0]) if len(rows) > 1 else None
        steps = [self.gap(after, "auroc", before=before) for before, after in itertools.pairwise(rows)]
        return _Curve(sorted(points), [self.estimate(row, "auroc") for row in rows], steps=steps, rise=rise)


def _check(tables, trained) -> None:
    """InputError as `few_shot_report` says."""
    for shots, table in tables.items():
        missing = set(table.draw.tolist()) - set(trained.get(shots, {}))
        if missing:
            raise InputError(f"shots {shots}, draw {min(missing)}: who was trained on is not known; run it again")
        for (classifier,), rows in table.split("classifier"):
            if NONE not in rows.arm:
                raise InputError(f"--arms: 'none' is missing at {classifier}, with which all arms are compared; add it")
