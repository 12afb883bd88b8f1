"""How often the words and intervals of studies are wrong, on simulated cohorts whose truth is known."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import stats

from rembrandt_featgen.evaluation import contrasts, out_of_fold_runs
from rembrandt_featgen.evaluation.contrasts import BEST, Contrast
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.evaluation.simulated_studies import Simulated
from rembrandt_featgen.measures import bootstrap, differences
from rembrandt_featgen.measures.bootstrap import Estimate


@dataclasses.dataclass(frozen=True)
class Rates:
    """What studies of one world said.

    Attributes:
      cohorts: number of studies.
      truth: difference of AUROC of the contrast, on new patients.
      words: of the best pipeline, word to number of studies.
      of_classifiers: studies in which any classifier had the word "helped" or "harmed".
      mean, deviation: of the estimated difference.
      error: root mean square of the estimated standard error.
      covered: share of studies whose 95% interval holds the truth.
      corrected: the same of Nadeau and Bengio's interval.
      arm: true AUROC of the best pipeline without generation.
      arm_covered: share of studies whose 95% interval of it holds that.
      detectable: mean difference that studies said could have been found.
    """

    cohorts: int
    truth: float
    words: dict[str, int]
    of_classifiers: int
    mean: float
    deviation: float
    error: float
    covered: float
    corrected: float
    arm: float
    arm_covered: float
    detectable: float

    @property
    def false_words(self) -> int:
        """Studies that said "helped" or "harmed": false where the truth is no difference."""
        return self.words.get("helped", 0) + self.words.get("harmed", 0)


def allowed(studies: int, level: float = differences.LEVEL) -> int:
    """False words among that many studies which a rule of that level exceeds in one of twenty series: 62 of 1,000."""
    return int(stats.binom.ppf(0.95, studies, level))


@dataclasses.dataclass(frozen=True)
class Said:
    """What one study said: its contrasts, and AUROC of the best pipeline without generation."""

    found: tuple[Contrast, ...]
    arm: Estimate


def say(study: PredictionsTable, *, draws: int, seed: int, margin: float = differences.MARGIN) -> Said:
    """The contrasts of a study; args as for `contrasts.contrasts`."""
    without = contrasts.choose(study, False)
    runs = contrasts.runs_of(without)
    estimates = bootstrap.bootstrap_arms(
        runs[0].labels,
        {"": out_of_fold_runs.stack(runs)},
        draws=draws,
        seed=seed,
        patients=runs[0].groups,
        trainings=out_of_fold_runs.trainings(runs),
        overlap=contrasts.overlap(without),
    )
    return Said(tuple(contrasts.contrasts(study, draws=draws, seed=seed, margin=margin)), estimates[""]["auroc"])


def rates(said: Sequence[Said], *, truth: float, arm: float) -> Rates:
    """How often studies were wrong.

    Args:
      said: by each study.
      truth, arm: "difference" and "none" of `simulated_studies.truths`.
    """
    best = [next(one for one in each.found if one.question == BEST) for each in said]
    values = np.array([one.auroc.value for one in best])
    return Rates(
        cohorts=len(said),
        truth=truth,
        words=dict(Counter(one.word for one in best)),
        of_classifiers=sum(
            any(one.word in ("helped", "harmed") for one in each.found if one.question != BEST) for each in said
        ),
        mean=float(values.mean()),
        deviation=float(values.std(ddof=1)),
        error=float(np.sqrt(np.mean([one.auroc.error**2 for one in best]))),
        covered=_share(one.auroc.interval() for one in best)(truth),
        corrected=_share(one.by_division.interval() for one in best)(truth),
        arm=arm,
        arm_covered=_share(each.arm.interval for each in said)(arm),
        detectable=float(np.mean([one.auroc.detectable for one in best])),
    )


def said_of(studies: Sequence[Simulated], *, draws: int, margin: float = differences.MARGIN) -> list[Said]:
    """What each simulated study said."""
    return [say(study.predictions, draws=draws, seed=number, margin=margin) for number, study in enumerate(studies)]


def _share(intervals):
    """From a truth to the share of intervals that hold it."""
    bounds = np.array(list(intervals))
    return lambda truth: float(np.mean((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])))
