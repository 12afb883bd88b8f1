"""Contrasts that were named before the test: validation patients choose a pipeline without and one with generation."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

import numpy as np

from rembrandt_featgen.evaluation import out_of_fold_runs, predictions
from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.evaluation.out_of_fold_runs import Run
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.measures import bootstrap, classification, differences
from rembrandt_featgen.measures.differences import Difference
from rembrandt_featgen.measures.out_of_fold import OutOfFold

BEST = "best pipeline"  # the contrast of all classifiers
# Arms that know what the others do not: shown beside them, and neither chosen nor compared with.
BESIDE = tuple(name for name, arm in ARMS.items() if arm.inputs != "features")
_SIDES = {False: "without", True: "with"}  # whether samples are generated
_MEASURES = ("auroc", "log_loss")


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of a contrast.

    Attributes:
      auroc, log_loss: per test patient, mean over trainings.
      chosen: how often validation patients chose each pipeline, as "ridge/gaussian/1".
    """

    auroc: float
    log_loss: float
    chosen: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Contrast:
    """The best pipeline without generation, and the best with it, on the test patients.

    Attributes:
      question: `BEST`, or the classifier at which both were chosen.
      word: one of `differences.WORDS`.
      sides: "without" and "with".
      auroc, log_loss: differences, with - without.
      bounds: of AUROC; of the classifiers' contrasts those that hold for all of them at once.
      by_division: the difference of AUROC within the tasks, with Nadeau and Bengio's error.
      generator_once: whether trainings are seeds, and a generator was trained once for all of them, as a GAN of maps
        is. Its chance shows between folds alone, so that the word rests on `by_division`.
      of_one_division: whether trainings are seeds of one division of the patients.
      alone: AUROC of the arm "none" at each classifier that competes, for comparison: test patients alone tell which is
        the best of them.
    """

    question: str
    word: str
    sides: dict[str, Side]
    auroc: Difference
    log_loss: Difference
    bounds: differences.Bounds
    by_division: Difference
    generator_once: bool = False
    of_one_division: bool = False
    alone: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def record(self) -> dict:
        """As report.json holds it."""
        return {
            "question": self.question,
            "word": self.word,
            **{side: dataclasses.asdict(self.sides[side]) for side in _SIDES.values()},
            "difference": difference_record(self.auroc, self.bounds),
            "log_loss_difference": difference_record(self.log_loss),
            "nadeau_bengio": {
                "difference": self.by_division.value,
                "ci95": self.by_division.interval(),
                "divisions": self.by_division.trainings,
            },
            "generator_once": self.generator_once,
            "alone": dict(self.alone),
        }


def difference_record(found: Difference, bounds: differences.Bounds | None = None) -> dict:
    """A difference as report.json holds it, with the bounds of one among several, and what could be found by these."""
    record = {
        "difference": found.value,
        "ci95": found.interval(),
        "ci90": found.interval(2 * differences.LEVEL),
        "error": found.error,
        "p_value": found.p_value,
        "detectable": found.detectable,
        "trainings": found.trainings,
    }
    if bounds is not None:
        record |= {
            "simultaneous95": [bounds.low, bounds.high],
            "p_adjusted": bounds.p_value,
            "detectable": found.detectable_beyond((bounds.high - bounds.low) / 2.0),
        }
    return record


def contrasts(table: PredictionsTable, *, draws: int, seed: int, margin: float = differences.MARGIN) -> list[Contrast]:
    """The contrast of all classifiers, and that of each of them; none where no arm generates, or all do.

    Args:
      table: predictions by all pipelines, with their validation loss.
      draws, seed: of the bootstrap over patients.
      margin: of AUROC, see `differences.word`.
    """
    parts = {BEST: table} | {name: part for (name,), part in table.split("classifier")}
    sides = {question: {_SIDES[kind]: choose(part, kind) for kind in _SIDES} for question, part in parts.items()}
    complete = {question: both for question, both in sides.items() if all(map(len, both.values()))}
    gaps, made, runs = {}, {}, {}
    for question, both in complete.items():
        runs[question] = {side: runs_of(of_side) for side, of_side in both.items()}
        made[question], gaps[question] = _measured(runs[question], draws=draws, seed=seed)
    of_auroc = {question: one["auroc"] for question, one in made.items()}
    of_classifiers = {question: one for question, one in of_auroc.items() if question != BEST}
    bounds = differences.simultaneous(of_classifiers, gaps)
    bounds |= {
        question: differences.Bounds(*one.interval(), one.p_value)
        for question, one in of_auroc.items()
        if question == BEST
    }
    return [
        dataclasses.replace(
            _contrast(
                question, both, runs=runs[question], measured=made[question], bounds=bounds[question], margin=margin
            ),
            alone=_alone(parts[question]),
        )
        for question, both in complete.items()
    ]


def _contrast(
    question: str,
    both: Mapping[str, PredictionsTable],
    *,
    runs: Mapping[str, list[Run]],
    measured: Mapping[str, Difference],
    bounds: differences.Bounds,
    margin: float,
) -> Contrast:
    of_divisions = by_division(both["without"], both["with"])
    by_seed = len(set(both["with"].draw.tolist())) < measured["auroc"].trainings
    once = by_seed and bool(set(both["with"].arm.tolist()) & set(KINDS))
    return Contrast(
        question,
        word=differences.word(of_divisions, margin) if once else differences.word(measured["auroc"], margin, bounds),
        sides={side: _side(of_side, runs[side]) for side, of_side in both.items()},
        auroc=measured["auroc"],
        log_loss=measured["log_loss"],
        bounds=bounds,
        by_division=of_divisions,
        generator_once=once,
        of_one_division=by_seed,
    )


def choose(table: PredictionsTable, generative: bool) -> PredictionsTable:
    """In each task, the rows of the pipeline whose validation loss is lowest.

    Args:
      table: of several pipelines.
      generative: whether of those that generate, or of the others.

    Returns:
      Rows whose arm and classifier are as they were; none where no arm is of that kind.
    """
    of_kind = (table.kind == "generative") if generative else np.isin(table.kind, ("none", "classical"))
    candidates = table.take(of_kind & ~np.isin(table.arm, BESIDE))
    if not len(candidates):
        return candidates
    parts = []
    for _, task in candidates.split("draw", "fold", "seed"):
        pipelines = [rows for _, rows in task.split("classifier", "arm", "amount")]
        losses = [rows.validation_loss[0] for rows in pipelines]
        parts.append(pipelines[int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))])
    return predictions.join(parts)


def by_division(without: PredictionsTable, with_: PredictionsTable) -> Difference:
    """Nadeau and Bengio's estimate: AUROC within each division, mean over its seeds.

    Patients who validate count as trained on. Where all divisions test the same patients there is no error.
    """
    aurocs: dict[tuple, dict[str, list[float]]] = {}
    sizes = []
    for side, rows in (("without", without), ("with", with_)):
        for (draw, fold, _), task in rows.split("draw", "fold", "seed"):
            _, labels, probabilities = task.by_patient()
            there = len(set(labels.tolist())) == task.classes.count
            value = classification.measures(labels, probabilities)["auroc"] if there else np.nan
            aurocs.setdefault((draw, fold), {}).setdefault(side, []).append(value)
            sizes.append(len(labels))
    tested, everyone = float(np.mean(sizes)), len(set(without.patient.tolist()))
    gaps = [float(np.mean(each["with"]) - np.mean(each["without"])) for each in aurocs.values()]
    if tested == everyone:
        return Difference(float(np.nanmean(gaps)), np.nan, np.nan, trainings=len(gaps))
    return differences.corrected(gaps, tested / (everyone - tested))


def inflation(table: PredictionsTable) -> float | None:
    """Factor of the variance of a run, for new training patients, see `bootstrap.spread`; None where a run is one fold.

    Patients who validate count as trained on.
    """
    first = table.take((table.draw == table.draw[0]) & (table.seed == table.seed[0]))
    sizes = [len(set(rows.patient.tolist())) for _, rows in first.split("fold")]
    if len(sizes) == 1:
        return None
    tested = float(np.mean(sizes))
    return 1.0 / len(set(table.draw.tolist())) + 1.0 + tested / (sum(sizes) - tested)


def runs_of(table: PredictionsTable) -> list[Run]:
    """The runs of a side, by patient, whatever pipeline each task chose."""
    (runs,) = out_of_fold_runs.runs_by_arm(table.replace(arm="chosen")).values()
    return [out_of_fold_runs.by_patient(run) for run in runs]


def group_counts(run: Run) -> list[int]:
    """[classes] number of groups of patients of each class that are there."""
    first = np.unique(run.groups, return_index=True)[1]
    return np.unique(run.labels[first], return_counts=True)[1].tolist()


def _measured(runs: Mapping[str, list[Run]], *, draws: int, seed: int) -> tuple[dict[str, Difference], np.ndarray]:
    """Measure to difference; and [1 + draws, trainings] of AUROC."""
    first = runs["with"][0]
    arms: dict[str, OutOfFold] = {side: out_of_fold_runs.stack(each) for side, each in runs.items()}
    values = bootstrap.resample(first.labels, arms, draws=draws, seed=seed, patients=first.groups)
    trainings = out_of_fold_runs.trainings(runs["with"])
    gaps = {
        name: bootstrap.of_trainings(values["with"][name] - values["without"][name], trainings) for name in _MEASURES
    }
    counts = group_counts(first)
    return {name: differences.difference(gap, counts) for name, gap in gaps.items()}, gaps["auroc"]


def _alone(table: PredictionsTable) -> dict[str, float]:
    """AUROC of real samples alone, at each classifier, mean over trainings."""
    real = table.select(arm="none")
    return {
        classifier: float(np.mean([out_of_fold_runs.measures(run)["auroc"] for run in runs_of(rows)]))
        for (classifier,), rows in (real.split("classifier") if len(real) else ())
    }


def _side(table: PredictionsTable, runs: list[Run]) -> Side:
    measured = [out_of_fold_runs.measures(run) for run in runs]
    chosen = Counter(
        "/".join(filter(None, (classifier, arm, amount)))
        for (classifier, arm, amount, *_), _ in table.split("classifier", "arm", "amount", "draw", "fold", "seed")
    )
    auroc, log_loss = (float(np.mean([one[name] for one in measured])) for name in _MEASURES)
    return Side(auroc, log_loss, chosen=dict(chosen.most_common()))
