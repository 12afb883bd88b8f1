"""What is reported of a final model on patients of another cohort."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from rembrandt_featgen.evaluation import final_choice, out_of_fold_runs, predictions
from rembrandt_featgen.evaluation.measure_rows import count_by_class
from rembrandt_featgen.evaluation.model_folder import FinalModel
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.measures import calibration

PLAN = "external"
_SHOWN = {"auroc": "AUROC", "balanced_accuracy": "balanced accuracy"}


def predict(model: FinalModel, table: FeatureTable) -> PredictionsTable:
    """A row for each sample of a table, whose columns are the model's, by the exported model."""
    samples = predictions.Samples(table.patients, table.samples, table.labels, groups=table.groups, sites=table.sites)
    return predicted_rows(model, samples, model.probabilities(table.values))


def predicted_rows(model: FinalModel, samples: predictions.Samples, probabilities: np.ndarray) -> PredictionsTable:
    """A row for each sample, of the probabilities [n, classes] that an exported model gives it."""
    classifier, arm, *amount = model.record["choice"]["name"].split("/")
    return predictions.rows(
        samples,
        probabilities,
        classes=model.classes,
        arm=arm,
        kind=final_choice.kind_of(arm),
        classifier=classifier,
        amount="".join(amount),
        thresholds=model.thresholds,
        plan=PLAN,
    )


def report(predicted: PredictionsTable, model: FinalModel, *, source: str, draws: int, seed: int) -> dict:
    """What report.json holds.

    Args:
      predicted: of `predict`, or of `predicted_rows`.
      model: that predicted.
      source: where the patients come from.
      draws, seed: of the bootstrap over groups of patients.
    """
    arm = str(predicted.arm[0])
    rows = [
        final_choice.measured(predicted, {"arm": arm}, draws=draws, seed=seed, unit=unit)
        for unit in ("patient", "slice")
    ]
    of_patient = out_of_fold_runs.by_patient(out_of_fold_runs.gather(predicted))
    diagram = calibration.reliability(of_patient.labels, of_patient.probabilities)
    bins = [dict(zip(("probability", "observed", "n"), one)) for one in zip(*diagram)]
    expected = model.record.get("expected_performance") or {}
    return {
        "classes": model.classes.record,
        "cohort": _cohort(predicted, source),
        "arms": rows,
        "reference": {"arm": arm},
        "reliability": [{"arm": arm, "bins": [one for one in bins if one["n"]]}],
        "verdict": sentence(rows[0], expected, model.record),
        "model": {
            name: model.record.get(name)
            for name in ("pipeline", "choice", "strength", "thresholds", "trained_on", "data", "versions", "commit")
        },
        "expected_performance": expected,
    }


def _cohort(predicted: PredictionsTable, source: str) -> dict:
    """What report.json says of the patients."""
    _, first = np.unique(predicted.patient.astype(str), return_index=True)
    patients = predicted.take(first)
    return {
        "patients": count_by_class(patients.label, predicted.classes),
        "samples": len(predicted),
        "groups": len(set(predicted.group.tolist())),
        "source": source,
        "sites": dict(sorted(Counter(filter(None, patients.site.tolist())).items())),
    }


def sentence(row: Mapping, expected: Mapping[str, Mapping], record: Mapping) -> str:
    """What was measured in another cohort, beside what the study let expect.

    Args:
      row: of measures per patient.
      expected: of `final_choice.expected_performance`.
      record: what model.json holds.
    """
    trained = sum(record["trained_on"]["patients"].values())
    text = (
        f"{record['pipeline']}, fitted on {trained} patients, has {_measures(row)} in {counts(row)} of another cohort"
    )
    known = expected.get("procedure") or expected.get("pipeline")
    return f"{text}; the study, out of fold, let expect {_measures(known)}." if known else f"{text}."


def last_line(row: Mapping) -> str:
    """The line that a terminal ends with."""
    return f"{estimate(row, 'auroc')}; {counts(row)}"


def counts(row: Mapping) -> str:
    """Patients of a row, by class."""
    by_class = ", ".join(f"{name}: {n}" for name, n in row["n"].items())
    return f"{sum(row['n'].values())} patients ({by_class})"


def estimate(row: Mapping, measure: str) -> str:
    """A measure of a row with its interval."""
    value, bounds = row[measure], row["ci95"][measure]
    if value is None or not np.isfinite(value):
        return f"{_SHOWN[measure]} not defined (a class has no patient)"
    known = all(bound is not None and np.isfinite(bound) for bound in bounds)
    interval = f"95% interval {bounds[0]:.2f} to {bounds[1]:.2f}" if known else "no interval: a class has one patient"
    return f"{_SHOWN[measure]} {value:.2f} ({interval})"


def _measures(row: Mapping) -> str:
    return " and ".join(estimate(row, measure) for measure in _SHOWN)
