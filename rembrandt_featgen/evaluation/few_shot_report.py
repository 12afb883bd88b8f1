"""What report.json holds of a few-shot study: a row for each arm, shots and classifier, and what they add up to."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.measures import differences


def few_shot_report(
    tables: Mapping[int, PredictionsTable],
    *,
    trained: Mapping[int, Mapping[int, Collection[str]]],
    label: int,
    reserve: int = 0,
    draws: int = 2000,
    seed: int = 0,
    margin: float = differences.MARGIN,
) -> dict:
    """The report of few-shot draws of one class.

    Args:
      tables: shots to the predictions of its draws; the test patients of a draw are the same for all shots and arms.
      trained: shots to draw to the ids of the patients that the arms of that draw were trained on, of all classes,
        without those in reserve.
      label: of the class of which few patients are trained on.
      reserve: further groups of it that the arm "oracle" is trained on, 0 without that arm.
      draws, seed: of the bootstrap over patients.
      margin: of AUROC, see `differences.word`.

    Returns:
      Plain as JSON, with "classes", "cut" (name of the class), "shots", "reserve", "patients" (class to number),
      "draws" (of patients to train on), "margin", "verdict_word", "verdict" (a sentence), "contrasts", "curves" and
      "rows": a list of
      {"shots", "classifier", "arm", "amount", "kind", "auroc", "ci95", "difference" (that to "none" at the same shots
      and classifier: `contrasts.difference_record` with "simultaneous95" over all rows; None for "none" itself),
      "word", "log_loss", "log_loss_difference", "worth": {"patients", "ci95", "text", "identifiable"}}.

    Raises:
      InputError: an arm "none" is missing, or a draw without trained patients.
    """
    raise NotImplementedError("rows follow")
