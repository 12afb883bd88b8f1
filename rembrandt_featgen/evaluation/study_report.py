"""What report.json holds of a study: all of it follows from the predictions table, the plan, and what tasks chose."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from rembrandt_featgen.evaluation import (
    arm_table,
    contrasts,
    generator_rows,
    out_of_fold_runs,
    table_warnings,
    verdicts,
)
from rembrandt_featgen.evaluation.contrasts import BEST, Contrast
from rembrandt_featgen.evaluation.out_of_fold_runs import Run
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.measures import calibration, differences
from rembrandt_featgen.measures.differences import Difference
from rembrandt_featgen.measures.power import chance, difference_power

_POWER_PATIENTS = (10, 20, 30, 40, 60, 80, 100, 150, 200, 300)
_FEW_SITES = 10  # below which a line says so
_DIFFERENCES = (0.02, 0.05, 0.1)  # of AUROC
_POWER_RULES = {
    "selfcheck": "The share of simulated cohorts, drawn with replacement from the patients of a phantom study of that "
    "size (arm none), in which the 95% interval of balanced accuracy per patient lies wholly above 0.5.",
    "study": "The share of simulated cohorts of that size, drawn with replacement from these patients, in which the "
    "95% interval of balanced accuracy per patient of {} lies wholly above chance; it was trained on as few patients "
    "as here.",
}


def report(
    table: PredictionsTable,
    cohort: Mapping,
    *,
    choices: Sequence[Mapping],
    settings: Mapping,
    draws: int,
    seed: int,
    margin: float = differences.MARGIN,
    checks: Mapping | None = None,
) -> dict:
    """What report.json holds.

    Args:
      table: predictions of all tasks.
      cohort: what it says of patients and features, see `cohort_of`.
      choices: of each task, see `trials.run`.
      settings: flags of the run, by name.
      draws, seed: of the bootstrap over patients.
      margin: of AUROC, within which pipelines count as equivalent.
      checks: what selfcheck wrote; None where it did not run.
    """
    checks = checks or {}
    rows, references = arm_rows(table, draws=draws, seed=seed)
    tested = rows[0]["n"]
    compared = contrasts.contrasts(table, draws=draws, seed=seed, margin=margin)
    first = min(references, key=lambda name: _validation_loss(choices, name))
    of_first = table.select(classifier=first)
    runs = out_of_fold_runs.runs_by_arm(of_first.select(chosen=True))
    for row in rows:
        if row["unit"] == "patient" and row["classifier"] == first:
            row["power"] = _power(runs[row["arm"]], sum(row["n"].values()))
    generators = generator_rows.generator_rows([choice["generators"] for choice in choices])
    return {
        "classes": table.classes.record,
        "cohort": {name: value for name, value in cohort.items() if name != "warnings"},
        "cross_validation": {
            "plan": table.plan[0],
            "folds": len(set(table.fold.tolist())),
            "repeats": len(set(table.draw.tolist())),
            "seeds": len(set(table.seed.tolist())),
            "runs": len(choices),
            "validation_fraction": settings.get("validation_fraction"),
        },
        "arms": rows,
        "reference": {
            "arm": references[first],
            "classifier": first,
            "by_classifier": references,
            "why": "real samples alone, with tuned regularisation; named before the test",
        },
        "amount_curve": _amount_curve(of_first, draws=draws, seed=seed),
        "generators": generators,
        "reliability": [{"classifier": first, **_reliability(arm, each)} for arm, each in runs.items()],
        "self_checks": checks.get("self_checks", []),
        "power": checks.get("power") or _power_curve(runs[references[first]]),
        "power_rule": _POWER_RULES["selfcheck" if checks.get("power") else "study"].format(references[first]),
        "power_of_differences": _difference_power(compared, sum(tested.values())),
        "tuning": _tuning(choices),
        "verdict": verdicts.sentence(compared, tested, margin),
        "verdict_word": verdicts.word(compared),
        "verdict_rule": verdicts.RULE,
        "contrasts": [one.record for one in compared],
        "margin": margin,
        "expected": verdicts.expectation(tested, margin),
        "warnings": [
            *cohort.get("warnings", ()),
            *(
                _warnings(cohort, rows)
                + _site_warnings(table)
                + generator_rows.warnings_of(generators, table, len(choices))
            ),
        ],
        "settings": dict(settings),
    }


def arm_rows(table: PredictionsTable, *, draws: int, seed: int) -> tuple[list[dict], dict[str, str]]:
    """Rows of all arms of all classifiers, and by classifier the arm that the others are compared with.

    Each arm's difference of AUROC per patient to that one has, beside its own interval, bounds that hold for all arms
    of all classifiers at once.

    Args:
      table: of the study.
      draws, seed: of the bootstrap over patients, and of the permutations.
    """
    rows: list[dict] = []
    references: dict[str, str] = {}
    gaps: dict[tuple[str, str], np.ndarray] = {}
    found: dict[tuple[str, str], Difference] = {}
    for (classifier,), part in table.split("classifier"):
        part = part.select(chosen=True)
        runs = out_of_fold_runs.runs_by_arm(part)
        kinds = _kinds(part)
        references[classifier] = arm_table.reference_of(kinds)
        made = arm_table.table(
            runs,
            kinds,
            classes=table.classes,
            reference=references[classifier],
            draws=draws,
            seed=seed,
            inflation=contrasts.inflation(part),
        )
        gaps |= {(classifier, arm): gap for arm, gap in made.gaps.items()}
        found |= {(classifier, arm): one for arm, one in made.differences.items()}
        for row in made.rows:
            row["classifier"] = classifier
            if row["unit"] == "patient":
                of_arm = part.select(arm=row["arm"])
                row["by_fold"], row["amounts"] = _by_fold(of_arm), _amounts(of_arm)
                if table.classes.count == 2:
                    row["thresholds"] = [fold["thresholds"][1] for fold in row["by_fold"]]
        rows += made.rows
    bounds = differences.simultaneous(found, gaps)
    for row in rows:
        key = (row["classifier"], row["arm"])
        if row["unit"] == "patient" and key in found:
            row["difference"] = {
                "against": references[row["classifier"]],
                "measure": "auroc",
                **contrasts.difference_record(found[key], bounds[key]),
            }
    return rows, references


def cohort_of(features: FeatureTable, source: str, *, components: int = 0, tasks: Sequence[Task] = ()) -> dict:
    """What a report says of the patients and features of a study.

    Args:
      features: of all patients.
      source: where they come from.
      components: principal components of the vectors; 0 keeps the columns.
      tasks: who trains, of which it depends how many of them are too many.
    """
    _, patient_rows = np.unique(features.patients, return_index=True)
    sites = [] if features.sites is None else features.sites[patient_rows].tolist()
    return {
        "patients": features.patient_counts,
        "samples": len(features),
        "groups": len(np.unique(features.groups)),
        "numbers": list(features.shape),
        "missing": features.missing,
        "source": source,
        "sites": dict(sorted(Counter(sites).items())),
        "warnings": [
            *table_warnings.warnings_of(features),
            *table_warnings.of_components(components, [len(task.train) for task in tasks]),
        ],
    }


def _kinds(table) -> dict[str, str]:
    """Arm to kind."""
    return {arm: of_arm.kind[0] for (arm,), of_arm in table.split("arm")}


def _validation_loss(choices, classifier) -> float:
    """Mean validation loss of a classifier of real samples alone, over tasks; of all arms without that one.

    Infinite where there is none: an arm that is not tuned has no loss in a task without validation patients.
    """
    losses: dict[bool, list[float | None]] = {True: [], False: []}
    for choice in choices:
        for name, row in choice["pipelines"].items():
            if name.startswith(f"{classifier}/"):
                losses[name == f"{classifier}/none"].append(row["loss"])
    of_real, of_all = map(generator_rows.known, (losses[True], losses[False]))
    numbers = of_real if len(of_real) else of_all
    return float(numbers.mean()) if len(numbers) else np.inf


def _amounts(table) -> Counter:
    """How often each amount was chosen."""
    return Counter(amount for (amount, *_), _ in table.split("amount", "draw", "fold", "seed") if amount)


def _by_fold(table) -> list[dict]:
    """Balanced accuracy per patient and thresholds in each fold, of each draw and seed."""
    found = []
    for (draw, fold, seed), rows in table.split("draw", "fold", "seed"):
        run = out_of_fold_runs.by_patient(out_of_fold_runs.gather(rows))
        found.append(
            {
                "name": f"draw{draw}-fold{fold}-seed{seed}",
                "seed": int(seed),
                "balanced_accuracy": out_of_fold_runs.measures(run)["balanced_accuracy"],
                "thresholds": run.thresholds[0].tolist(),
            }
        )
    return found


def _amount_curve(table, *, draws: int, seed: int) -> list[dict]:
    """Balanced accuracy per patient of each arm that adds samples, at each amount that was tried."""
    kinds, points = _kinds(table), []
    for (amount,), part in table.split("amount"):
        if not amount:
            continue
        for arm, runs in out_of_fold_runs.runs_by_arm(part).items():
            value, interval = arm_table.balanced_accuracy(
                runs, draws=draws, seed=seed, inflation=contrasts.inflation(part)
            )
            points.append(
                {"arm": arm, "kind": kinds[arm], "amount": amount, "balanced_accuracy": value, "ci95": interval}
            )
    return points


def _reliability(arm: str, runs: Sequence[Run]) -> dict:
    """Reliability diagram per patient, the runs pooled."""
    by_patient = [out_of_fold_runs.by_patient(run) for run in runs]
    diagram = calibration.reliability(
        np.concatenate([run.labels for run in by_patient]), np.concatenate([run.probabilities for run in by_patient])
    )
    bins = zip(*(column.tolist() for column in diagram))
    return {"arm": arm, "bins": [{"probability": p, "observed": o, "n": n} for p, o, n in bins if n]}


def _power(runs, patients: int) -> float | None:
    """None where a class would have fewer than two patients."""
    with contextlib.suppress(ValueError):
        return arm_table.power(runs, patients)
    return None


def _power_curve(runs: list) -> list[dict]:
    """Power by number of patients, from those on with which each class has two."""
    points = [{"patients": patients, "power": _power(runs, patients)} for patients in _POWER_PATIENTS]
    return [point for point in points if point["power"] is not None]


def _difference_power(compared: Sequence[Contrast], patients: int) -> list[dict]:
    """Power by number of test patients to find differences between the best pipelines, whose error is that found here.

    The error shrinks with the root of the number; what better training with more patients would change is not in it.
    """
    best = next((one.auroc for one in compared if one.question == BEST), None)
    if best is None or not np.isfinite(best.error) or best.error == 0:
        return []
    return [
        {
            "patients": number,
            "difference": size,
            "power": difference_power(size, best.error * np.sqrt(patients / number), best.degrees),
        }
        for number in sorted({*_POWER_PATIENTS, patients})
        for size in _DIFFERENCES
    ]


def _tuning(choices) -> dict[str, dict]:
    """By classifier, arm and amount: how often each strength of regularisation was chosen."""
    found: dict[str, dict] = {}
    for choice in choices:
        for name, row in choice["pipelines"].items():
            counts = found.setdefault(name, {})
            counts[f"{row['strength']:g}"] = counts.get(f"{row['strength']:g}", 0) + 1
    return found


def _site_warnings(table: PredictionsTable) -> list[str]:
    """A line where few sites were held out, one at a time."""
    sites = len(set(table.fold.tolist()))
    if table.plan[0] != "sites" or sites >= _FEW_SITES:
        return []
    return [
        f"Only {sites} sites were held out, one at a time, and their patients are what intervals are over: of new "
        "sites that says little."
    ]


def _warnings(cohort: Mapping, rows: Sequence[Mapping]) -> list[str]:
    """What a careful reader should know before the numbers."""
    lines = [
        f"Only {count} patients are {name}: intervals are wide, whatever was averaged over runs."
        for name, count in cohort["patients"].items()
        if count < 50
    ]
    level = chance(len(cohort["patients"]))
    unsure: dict[str, list[str]] = {}
    for row in rows:
        if row["unit"] == "patient" and not row["ci95"]["balanced_accuracy"][0] > level:
            unsure.setdefault(row["classifier"], []).append(row["arm"])
    for classifier, arms in unsure.items():
        lines.append(
            f"Balanced accuracy is not shown to be above chance (interval reaches {level:.2g}), {classifier}: "
            f"{', '.join(arms)}."
        )
    return lines
