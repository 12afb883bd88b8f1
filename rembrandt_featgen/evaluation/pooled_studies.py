"""What several studies say together: their report.json, and from these one estimate over data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from absl import logging

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import few_shot_generators, pooled_tasks, shared_patients
from rembrandt_featgen.evaluation.contrasts import BEST
from rembrandt_featgen.evaluation.pooled_tasks import Task
from rembrandt_featgen.measures import differences, pooled_differences
from rembrandt_featgen.measures.differences import Difference
from rembrandt_featgen.measures.pooled_differences import Pooled

RULE = (
    "Each data set has a true difference of its own, drawn from a t distribution around a mean (Corani, Benavoli et "
    "al. 2017). Rows of one data set are one estimate, as uncertain as if their errors were the same one, for they "
    "are of the same patients. The word is of the mean: equivalent where its 90% interval lies within the margin, "
    "else helped or harmed where the 95% interval excludes 0; those of several arms or classifiers for all of them at "
    f"once. Fewer than {pooled_differences.DATA_SETS} data sets leave it undecided."
)
GENERATORS_RULE = (
    "Each generator of each few-shot study against what the inner folds choose, in each draw, among all pipelines of "
    "the same classifier, of any strength, that generate nothing; and "
    "what they choose among all that generate against what they choose among all that do not. 'Helped' asks for more "
    "than real samples alone, too. Bounds hold for all rows of all studies at once, by the maximum of their statistics "
    "over resamples of patients and draws."
)
_COLUMNS = ("data_set", "contrast", "arm", "kind", "classifier", "shots")  # of a task, as pooled.json holds them


def pooled_report(
    studies: Sequence[tuple[str, Path]],
    *,
    margin: float = differences.MARGIN,
    seed: int = 0,
) -> dict:
    """What pooled.json holds: all tasks, and what follows of them for each contrast, arm, and cell of the table.

    Args:
      studies: name of the data set and report.json of each, see `pooled_tasks.find`.
      margin: of AUROC, within which pipelines count as equivalent.
      seed: of the sampler.
    """
    tasks: list[Task] = []
    described = []
    generators, families = [], []
    people: dict[str, frozenset[str]] = {}  # of each data set
    for name, path in studies:
        report = pooled_tasks.read(name, path)
        tasks += pooled_tasks.tasks_of(name, report, path)
        people[name] = people.get(name, frozenset()) | shared_patients.ids_of(path)
        of_study, family = pooled_tasks.generated(name, report, path)
        if of_study:
            generators += of_study
            families.append(family)
        cohort, plan = report.get("cohort") or {}, report.get("cross_validation") or {}
        patients = cohort.get("patients") or report.get("patients")
        described.append(
            {
                "data_set": name,
                "report": str(path),
                "patients": patients,
                "source": cohort.get("source"),
                "plan": plan.get("plan") or ("few-shot" if report.get("rows") else None),
                "word": report.get("verdict_word"),
            }
        )
    in_common = shared_patients.sentences(people)
    for line in in_common:
        logging.warning("%s", line)
    pools = pools_of(tasks, margin=margin, seed=seed)
    best = next((one for one in pools if one["of"] == "contrast" and one["classifier"] == BEST), None)
    return {
        "measure": "auroc",
        "margin": margin,
        "studies": described,
        "tasks": [
            {
                **{name: getattr(task, name) for name in _COLUMNS},
                **dict(zip(("difference", *Difference._fields[1:]), task.found)),
                "ci95": task.found.interval(),
            }
            for task in tasks
        ],
        "pools": pools,
        "against_best": (
            _generators(few_shot_generators.together(generators, families, margin=margin), margin) if families else None
        ),
        "verdict_word": best["word"] if best else "undecided",
        "verdict": _sentence(best, margin),
        "verdict_rule": RULE,
        "warnings": in_common + _warnings(described, pools) + _in_one_alone(tasks),
    }


def check(name: str, path: Path) -> None:
    """InputError where a report.json is damaged, or no report of a study.

    Args:
      name: of the data set.
      path: of the report.
    """
    report = pooled_tasks.read(name, path)
    pooled_tasks.tasks_of(name, report, path)
    if not (report.get("arms") or report.get("rows")):
        raise InputError(
            f"{path}: neither 'arms' nor 'rows' is in it, as if a part of it were lost; make that study again, or "
            f"leave it out of --studies={name}=..."
        )
    pooled_tasks.generated(name, report, path)


def pools_of(tasks: Sequence[Task], *, margin: float, seed: int) -> list[dict]:
    """The estimate over data sets of each contrast, of each arm, and of each arm, classifier and number of shots.

    Classifiers of a fixed strength, such as "mlp@0.001", are there for what they show, some without regularisation:
    they have no part in the estimate of an arm.
    """
    made = []
    families: dict[str, tuple[Iterable[Task], Callable[[Task], tuple]]] = {
        "contrast": ([task for task in tasks if task.contrast], lambda task: (task.classifier,)),
        "arm": (
            [task for task in tasks if not task.contrast and "@" not in task.classifier],
            lambda task: (task.arm,),
        ),
        "cell": ([task for task in tasks if not task.contrast], lambda task: (task.arm, task.classifier, task.shots)),
    }
    for family, (members, key) in families.items():
        groups: dict[tuple, list[Task]] = {}
        for task in members:
            groups.setdefault(key(task), []).append(task)
        several = {name: group for name, group in groups.items() if len({task.data_set for task in group}) > 1}
        judged = sum(name != (BEST,) for name in several)
        for name, group in several.items():
            size = 1 if name == (BEST,) or family == "cell" else judged
            pooled, names = _pool(group, margin=margin, seed=seed, family=size)
            made.append(_record(family, group, pooled, names=names))
    return made


def _pool(group: Sequence[Task], *, margin: float, seed: int, family: int) -> tuple[Pooled, list[str]]:
    by_data_set: dict[str, list[Difference]] = {}
    for task in group:
        by_data_set.setdefault(task.data_set, []).append(task.found)
    found = [pooled_differences.together(of_one) for of_one in by_data_set.values()]
    return pooled_differences.pool(found, margin=margin, seed=seed, family=family), list(by_data_set)


def _record(family: str, group: Sequence[Task], pooled: Pooled, *, names: Sequence[str]) -> dict:
    first = group[0]
    return {
        "of": family,
        "arm": first.arm,
        "kind": first.kind,
        "classifier": "" if family == "arm" else first.classifier,
        "shots": first.shots if family == "cell" else "",
        "tasks": len(group),
        "data_sets": len(names),
        "mean": pooled.mean,
        "ci95": pooled.interval,
        "simultaneous95": None if family == "cell" else pooled.bounds,
        "word": "" if family == "cell" else pooled.word,
        "spread": pooled.spread,
        "spread_ci95": pooled.spread_interval,
        "next": {"below": pooled.below, "within": pooled.within, "above": pooled.above},
        "true": {name: {"mean": one[0], "ci95": one[1:]} for name, one in zip(names, pooled.true)},
        "r_hat": pooled.r_hat,
        "effective_size": pooled.effective_size,
        "converged": pooled.converged,
    }


def _sentence(best: Mapping | None, margin: float) -> str:
    """The verdict on the best pipelines."""
    if best is None:
        return "Undecided: fewer than 2 data sets have a contrast of the best pipelines with and without generation."
    low, high = best["simultaneous95"]
    chances = best["next"]
    return (
        f"{best['word'].capitalize()}: over {best['data_sets']} data sets the best pipeline with generation differs "
        f"from the best without by {best['mean']:+.3f} of AUROC on average (95% interval {low:+.3f} to {high:+.3f}); "
        f"in the next data set like these it is better by more than {margin:g} with a probability of "
        f"{chances['above']:.0%}, worse by more than that with {chances['below']:.0%}, and within it with "
        f"{chances['within']:.0%}{_on_the_prior(best['data_sets'])}."
    )


def _on_the_prior(number: int) -> str:
    """What is to be known of chances in the next data set after few; "" after many."""
    few = number < 2 * pooled_differences.DATA_SETS
    return f" (which rests on the prior, as {number} data sets say little of how much they differ)" if few else ""


def _in_one_alone(tasks: Sequence[Task]) -> list[str]:
    """What has no row of its own, as one data set alone has it."""
    sets: dict[tuple[str, str], set[str]] = {}
    for task in tasks:
        of_arm = ("the question at", task.classifier) if task.contrast else ("arm", task.arm)
        for what in (of_arm, ("number of shots", task.shots)):
            sets.setdefault(what, set()).add(task.data_set)
    alone = [f"{kind} {name} ({', '.join(names)})" for (kind, name), names in sets.items() if len(names) == 1]
    return [f"Of one data set alone, and so without a row of its own: {'; '.join(alone)}."] if alone else []


def _generators(found: Mapping, margin: float) -> dict:
    """What few-shot studies say of each generator, with its rule and one sentence."""
    rows, words = found["rows"], found["words"]
    sets = len({row["data_set"] for row in rows})
    shown = {
        word: ", ".join(sorted({row["data_set"] for row in rows if row["word"] == word})) or "on no data set"
        for word in ("helped", "harmed")
    }
    known = sorted(row["difference"]["detectable"] for row in rows)
    return {
        **found,
        "rule": GENERATORS_RULE,
        "sentence": (
            f"Of {len(rows)} comparisons of a generator with the best that is had without one, on {sets} data sets, "
            f"{words['helped']} helped with bounds for all of them at once ({shown['helped']}), "
            f"{words['harmed']} harmed ({shown['harmed']}), {words['equivalent']} are equivalent (within "
            f"{margin:g} of AUROC) and {words['undecided']} undecided; half of them could have found a difference of "
            f"{known[len(known) // 2]:.3f}."
        ),
    }


def _warnings(described: Sequence[Mapping], pools: Sequence[Mapping]) -> list[str]:
    """What a careful reader should know of the studies, and of the chains."""
    lines = []
    sources: dict[str, set[str]] = {}
    for one in described:
        if one["source"]:
            sources.setdefault(str(one["source"]), set()).add(one["data_set"])
    for source, names in sources.items():
        if len(names) > 1:
            lines.append(
                f"{', '.join(sorted(names))} are all made of {source}, and are pooled as if their patients were "
                "different; give them one name, --studies=NAME=DIR,NAME=DIR."
            )
    number = len({one["data_set"] for one in described})
    if _on_the_prior(number):
        lines.append(
            f"{number} data sets say little of how much data sets differ: what is said of the next one rests on the "
            "prior."
        )
    unsure = [one for one in pools if not one["converged"]]
    if unsure:
        worst = max(unsure, key=lambda one: one["r_hat"])
        lines.append(
            f"{len(unsure)} of {len(pools)} estimates rest on chains that did not converge (R-hat up to "
            f"{worst['r_hat']:.3f}, {worst['effective_size']:.0f} effective draws): they are undecided."
        )
    return lines
