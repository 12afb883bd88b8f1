"""How often the words and intervals of studies are wrong, on simulated cohorts whose truth is known."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats
from tqdm import tqdm

from rembrandt_featgen import __version__
from rembrandt_featgen.core import json_files
from rembrandt_featgen.evaluation import contrasts, out_of_fold_runs, simulated_studies
from rembrandt_featgen.evaluation.contrasts import BEST
from rembrandt_featgen.evaluation.simulated_studies import Simulated, World
from rembrandt_featgen.measures import differences

_AT_ONCE = 25  # studies that are trained in one call, and kept in one file
_DRAWS = 400  # of the bootstrap of each
# Studies from which on a series can say that words are right. Of fewer, a rule that is wrong in 20% rather than 5%
# passes too often: of 40 studies in 8%, of 20 in 41%, of 2 in 96%.
ENOUGH = 40
_TRAININGS = 2  # counts changes of how studies are trained, after which what was kept is not what they would say


@dataclasses.dataclass(frozen=True)
class Said:
    """What one study said, and the truth of it.

    Attributes:
      word: of the best pipeline.
      of_classifiers: of each classifier.
      difference, error, low, high: of AUROC, best pipeline with generation less that without.
      corrected_low, corrected_high: Nadeau and Bengio's interval.
      detectable: difference that could have been found.
      arm, arm_low, arm_high: AUROC of the best pipeline without generation.
      true_difference, true_arm: of the same pipelines, as trained in the study, on new patients.
    """

    word: str
    of_classifiers: tuple[str, ...]
    difference: float
    error: float
    low: float
    high: float
    corrected_low: float
    corrected_high: float
    detectable: float
    arm: float
    arm_low: float
    arm_high: float
    true_difference: float
    true_arm: float


@dataclasses.dataclass(frozen=True)
class Rates:
    """What studies of one world said.

    Attributes:
      studies: how many.
      truth: mean difference of AUROC on new patients.
      words: of the best pipeline, word to number of studies.
      of_classifiers: studies in which any classifier had the word "helped" or "harmed".
      mean, deviation: of the estimated difference.
      error: root mean square of the estimated standard error.
      covered, corrected: shares of studies whose 95% interval, or Nadeau and Bengio's, holds the truth.
      arm: true AUROC of the best pipeline without generation.
      arm_covered: share of studies whose 95% interval of it holds that.
      detectable: mean difference that studies said could have been found.
      benefits: studies in which generation helped, by the truth of their own pipelines.
      found: of these, how many had the word "helped".
      contrary: studies whose word is the contrary of their own truth.
    """

    studies: int
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
    benefits: int
    found: int
    contrary: int

    @property
    def false_words(self) -> int:
        """Studies that said "helped" or "harmed": false where the truth is no difference."""
        return self.words.get("helped", 0) + self.words.get("harmed", 0)

    def power(self, word: str = "helped") -> float:
        """Share of studies that had a word."""
        return self.words.get(word, 0) / self.studies


def allowed(studies: int, level: float = differences.LEVEL) -> int:
    """False words among that many studies, more than which a rule of that level has in one series of twenty.

    Of 1,000 studies it is 62.
    """
    return int(stats.binom.ppf(0.95, studies, level))


def measure(world: World, studies: int, folder: Path | None = None) -> Rates:
    """Simulates studies of a world, and counts how often they were wrong.

    Args:
      world: where their cohorts come from.
      studies: how many; their cohorts have the numbers from 0 on.
      folder: keeps what was said, and gives it to a later run; None keeps nothing.
    """
    said: list[Said] = []
    digest = hashlib.sha256(repr((world, _DRAWS, _TRAININGS, __version__)).encode()).hexdigest()[:12]
    for first in tqdm(range(0, studies, _AT_ONCE), f"{world.arm} of {sum(world.patients)} patients", unit="chunk"):
        kept = folder / digest / f"{first}_{min(studies, first + _AT_ONCE)}.json" if folder else None
        if kept and kept.is_file():
            said += [_of_record(one) for one in json_files.read_json(kept)]
            continue
        chunk = simulated_studies.simulate(world, range(first, min(studies, first + _AT_ONCE)))
        new = [say(study, seed=first + number) for number, study in enumerate(chunk)]
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            json_files.write_json(kept, [dataclasses.asdict(one) for one in new])
        said += new
    # The same pipeline in both arms has no difference, whatever its trainings came to on new patients; and where
    # numbers tell nothing, AUROC is 0.5 in both.
    truth = 0.0 if world.arm == simulated_studies.AGAIN or world.shift == 0 else None
    return rates(said, truth=truth, given=world.plan == "hold-out")


def say(study: Simulated, *, draws: int = _DRAWS, seed: int) -> Said:
    """What a study says of its contrast and of its best pipeline without generation."""
    table = study.predictions
    found = contrasts.contrasts(table, draws=draws, seed=seed)
    best = next(one for one in found if one.question == BEST)
    without = contrasts.choose(table, False)
    arm = out_of_fold_runs.estimates(
        contrasts.runs_of(without), draws=draws, seed=seed, inflation=contrasts.inflation(without)
    )["auroc"]
    true_arm, true_difference = simulated_studies.truth(study)
    low, high = best.auroc.interval()
    corrected_low, corrected_high = best.by_division.interval()
    return Said(
        word=best.word,
        of_classifiers=tuple(one.word for one in found if one.question != BEST),
        difference=best.auroc.value,
        error=best.auroc.error,
        low=low,
        high=high,
        corrected_low=corrected_low,
        corrected_high=corrected_high,
        detectable=best.auroc.detectable,
        arm=arm.value,
        arm_low=arm.low,
        arm_high=arm.high,
        true_difference=true_difference,
        true_arm=true_arm,
    )


def rates(said: Sequence[Said], *, truth: float | None = None, given: bool = False) -> Rates:
    """How often studies were wrong.

    Args:
      said: by each study.
      truth: difference of AUROC; None for the mean of their truths.
      given: whether training patients are given, as in a hold-out, so that each study's interval of AUROC is of its
        own truth; else, as in cross-validation, of the mean over cohorts.
    """
    values = np.array([one.difference for one in said])
    truth = float(np.mean([one.true_difference for one in said])) if truth is None else truth
    arm = float(np.mean([one.true_arm for one in said]))
    return Rates(
        studies=len(said),
        truth=truth,
        words=dict(Counter(one.word for one in said).most_common()),
        of_classifiers=sum(bool({"helped", "harmed"} & set(one.of_classifiers)) for one in said),
        mean=float(values.mean()),
        deviation=float(values.std(ddof=1)),
        error=float(np.sqrt(np.mean([one.error**2 for one in said]))),
        covered=_share(truth, ((one.low, one.high) for one in said)),
        corrected=_share(truth, ((one.corrected_low, one.corrected_high) for one in said)),
        arm=arm,
        arm_covered=float(np.mean([one.arm_low <= (one.true_arm if given else arm) <= one.arm_high for one in said])),
        detectable=float(np.mean([one.detectable for one in said])),
        benefits=sum(one.true_difference > 0 for one in said),
        found=sum(one.true_difference > 0 and one.word == "helped" for one in said),
        contrary=sum(
            one.true_difference <= 0 and one.word == "helped" or one.true_difference >= 0 and one.word == "harmed"
            for one in said
        ),
    )


def _of_record(record: Mapping) -> Said:
    """What was kept, in which a number that is not defined is null, such as an interval of one division."""
    numbers: dict = {key: float("nan") if value is None else value for key, value in record.items()}
    return Said(**numbers)


def _share(truth: float, intervals: Iterable[tuple[float, float]]) -> float:
    """Share of intervals that hold a truth."""
    return float(np.mean([low <= truth <= high for low, high in intervals]))
