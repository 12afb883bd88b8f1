"""What a report says of a study of feature tables: all of it follows from the predictions table and the plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from rembrandt_featgen.evaluation import arm_table, out_of_fold_runs, predictions, study_folds
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.evaluation.study_folds import Fold
from rembrandt_featgen.evaluation.vector_arms import VECTOR_ARMS
from rembrandt_featgen.features.tables import FeatureTable

# Arms that know what the others do not: shown beside them, and never what they are compared with.
_BESIDE = tuple(name for name, arm in VECTOR_ARMS.items() if arm.inputs != "features")


def arm_rows(table: PredictionsTable, *, draws: int, seed: int) -> tuple[list[dict], dict[str, str]]:
    """Rows of all arms of all classifiers, and by classifier the arm that the others are compared with.

    Args:
      table: of the study.
      draws, seed: of the bootstrap over patients, and of the permutations.
    """
    rows: list[dict] = []
    references: dict[str, str] = {}
    for (classifier,), part in table.split("classifier"):
        part = part.select(chosen=True)
        runs = out_of_fold_runs.runs_by_arm(part)
        kinds = {arm: of_arm.kind[0] for (arm,), of_arm in part.split("arm")}
        of_classifier, references[classifier] = arm_table.table(
            runs, kinds, classes=table.classes, draws=draws, seed=seed, beside=_BESIDE
        )
        for row in of_classifier:
            row["classifier"] = classifier
            if row["unit"] == "patient":
                of_arm = part.select(arm=row["arm"])
                row["by_fold"], row["amounts"] = _by_fold(of_arm), _amounts(of_arm)
        rows += of_classifier
    return rows, references


def cohort_of(features: FeatureTable, source: str) -> dict:
    """What a report says of the patients and features of a study.

    Args:
      features: of all patients.
      source: where they come from.
    """
    _, patient_rows = np.unique(features.patients, return_index=True)
    labels = features.labels[patient_rows]
    sites = [] if features.sites is None else features.sites[patient_rows].tolist()
    return {
        "patients": {name: int((labels == label).sum()) for label, name in enumerate(features.classes.names)},
        "samples": len(features),
        "groups": len(np.unique(features.groups)),
        "numbers": list(features.shape),
        "missing": features.missing,
        "source": source,
        "sites": dict(sorted(Counter(sites).items())),
    }


def report(
    table: PredictionsTable,
    cohort: Mapping,
    *,
    choices: Sequence[Mapping],
    settings: Mapping,
    draws: int,
    seed: int,
) -> dict:
    """What report.json holds.

    Args:
      table: predictions of all tasks.
      cohort: what it says of patients and features, see `cohort_of`.
      choices: of each task.
      settings: flags of the run, by name.
      draws, seed: of the bootstrap over patients.
    """
    rows, references = arm_rows(table, draws=draws, seed=seed)
    first = min(references, key=lambda name: _validation_loss(choices, name))
    by_classifier = {name: arm_table.verdict([row for row in rows if row["classifier"] == name]) for name in references}
    return {
        "classes": table.classes.record,
        "cohort": dict(cohort),
        "cross_validation": {
            "plan": table.plan[0],
            "folds": len(set(table.fold.tolist())),
            "repeats": len(set(table.draw.tolist())),
            "seeds": len(set(table.seed.tolist())),
            "runs": len(choices),
        },
        "arms": rows,
        "reference": {
            "arm": references[first],
            "classifier": first,
            "by_classifier": references,
            "why": "of each classifier, the highest balanced accuracy per patient of the arms that generate nothing; "
            "as it was chosen on the same patients, comparisons with it are biased against the generative arms",
        },
        "tuning": _tuning(choices),
        "verdict": by_classifier[first],
        "verdict_by_classifier": by_classifier,
        "verdict_rule": arm_table.VERDICT_RULE,
        "settings": dict(settings),
    }


def report_of_folds(record: Mapping, folds: Sequence[Fold], *, draws: int, seed: int) -> dict:
    """What report.json holds of a study of patient vectors, each fold of which has a U-Net of its own.

    Args:
      record: stage.json of assign_folds.
      folds: all of them, trained.
      draws, seed: of the bootstrap over patients.
    """
    slices = folds[0].records["prepare_slices"]["figures"]
    settings = {
        name: value for fold in folds[:1] for one in fold.records.values() for name, value in one["config"].items()
    }
    predicted = predictions.join([fold.predictions for fold in folds])
    found = report(
        predicted,
        {
            "patients": slices["patients"],
            "groups": len(set(predicted.group.tolist())),
            "slices": slices["slices"],
            "source": record["config"]["cohort"],
            "spacing": study_folds.spacing(folds),
            "preparation": study_folds.preparation(folds),
            "sites": dict(sorted(Counter(record["figures"]["sites"].values()).items())),
        },
        choices=[choice for fold in folds for choice in fold.records["evaluate_features"]["figures"]["choices"]],
        settings={**settings, **record["config"]},
        draws=draws,
        seed=seed,
    )
    found["cross_validation"] |= {
        "grouping": record["config"]["cv_grouping"],
        "fold_records": [study_folds.fold_record(fold) for fold in folds],
    }
    return {**found, "segmentation": {"test": study_folds.segmentation(folds)}}


def _validation_loss(choices, classifier) -> float:
    """Mean validation loss of a classifier of real samples alone, over tasks; of all arms without that one."""
    losses: dict[bool, list[float]] = {True: [], False: []}
    for choice in choices:
        for name, row in choice["pipelines"].items():
            if name.startswith(f"{classifier}/"):
                losses[name == f"{classifier}/none"].append(row["loss"])
    return float(np.mean(losses[True] or losses[False]))


def _amounts(table) -> Counter:
    """How often each amount was chosen."""
    return Counter(amount for (amount, *_), _ in table.split("amount", "draw", "fold", "seed") if amount)


def _by_fold(table) -> list[dict]:
    """Balanced accuracy per patient in each fold, of each draw and seed."""
    found = []
    for (draw, fold, seed), rows in table.split("draw", "fold", "seed"):
        measured = out_of_fold_runs.measures(out_of_fold_runs.by_patient(out_of_fold_runs.gather(rows)))
        value = measured["balanced_accuracy"]
        found.append({"name": f"draw{draw}-fold{fold}-seed{seed}", "balanced_accuracy": value})
    return found


def _tuning(choices) -> dict[str, dict]:
    """By classifier, arm and amount: how often each strength of regularisation was chosen."""
    found: dict[str, dict] = {}
    for choice in choices:
        for name, row in choice["pipelines"].items():
            counts = found.setdefault(name, {})
            counts[f"{row['strength']:g}"] = counts.get(f"{row['strength']:g}", 0) + 1
    return found
