"""The verdict of a study in one of four words, and in one sentence that says how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rembrandt_featgen.evaluation.contrasts import BEST, Contrast
from rembrandt_featgen.measures import differences, power

RULE = (
    "AUROC per patient (mean log-odds of its samples, each patient tested once in each training, by models that never "
    "saw it; pairs of patients of one fold). In each fold the validation patients (without any, the inner folds) "
    "choose, by log loss, one pipeline without generation (real samples alone and classical arms, SMOTE among them) "
    "and one with it (arms whose generator models the distribution of features), of all arms, amounts and classifiers. "
    "Regularisation is tuned alike for all but the arm 'plain' and strengths that are named, such as mlp@10; these two "
    "meet on the test patients. The 95% interval of their difference is over "
    "new patients (bootstrap, stratified by class, groups kept whole) and new trainings. 'Equivalent': the 90% "
    "interval lies within the margin (two one-sided tests); else 'helped' or 'harmed': the 95% interval lies on one "
    "side of 0; else, or with fewer than 5 trainings, 'undecided'. The same is asked at each classifier, with bounds "
    "that hold for all of them at once."
)
_MEANINGS = {
    "helped": "generation helped the pipeline that validation patients choose",
    "harmed": "generation harmed the pipeline that validation patients choose",
    "equivalent": "the pipelines that validation patients choose with and without generation differ by less than "
    "{margin:g}",
    "undecided": "this study cannot tell whether generation helps the pipeline that validation patients choose",
}
_MOST = 0.3  # of AUROC: more than generation is ever worth
_WORSE = 0.005  # of AUROC: a choice that is worse than real samples alone by this much is said
_NONE = "No generative arm was tested."


def word(contrasts: Sequence[Contrast]) -> str:
    """The word of the best pipeline; "undecided" where nothing was generated."""
    return next((one.word for one in contrasts if one.question == BEST), "undecided")


def sentence(contrasts: Sequence[Contrast], patients: Mapping[str, int], margin: float) -> str:
    """What a study says: of the best pipeline, then of each classifier.

    Args:
      contrasts: of `contrasts.contrasts`.
      patients: class to number.
      margin: of AUROC, of the words.
    """
    best = next((one for one in contrasts if one.question == BEST), None)
    if best is None:
        return _NONE
    found = best.auroc
    text = (
        f"{best.word.capitalize()}: {_MEANINGS[best.word].format(margin=margin)}: AUROC per patient "
        f"{best.sides['with'].auroc:.3f} with it ({_most(best, 'with')}) and {best.sides['without'].auroc:.3f} without "
        f"({_most(best, 'without')}), difference "
        f"{_interval(found.value, *found.interval())}, margin {margin:g}, {sum(patients.values())} patients, "
        f"{found.trainings} training{'s' * (found.trainings != 1)}{' of one division' * best.of_one_division}"
    )
    low, high = found.interval()
    if best.word == "equivalent" and not -margin < low <= high < margin:  # which is asked of the 90% interval
        text += "; 'equivalent' by the 90% interval [{:+.3f}, {:+.3f}]".format(*found.interval(2 * differences.LEVEL))
    if np.isfinite(found.detectable) and found.trainings >= differences.TRAININGS:
        text += f"; a difference of {found.detectable:.3f} could have been found (80% power)"
    at = max(best.alone, key=lambda name: best.alone[name], default="")
    if at and best.alone[at] > best.sides["without"].auroc + _WORSE:
        text += (
            f"; few validation patients choose badly: real samples alone have {best.alone[at]:.3f} at {at} "
            "(picked after the test)"
        )
    if not np.isfinite(found.error):
        text += "; a class has fewer than two patients, so there is no interval"
    elif found.trainings < differences.TRAININGS:
        text += f"; with fewer than {differences.TRAININGS} trainings another seed could overturn it"
    if best.generator_once:
        text += "; as the generator was trained once for all seeds, the word rests on the spread between folds"
        if np.isfinite(best.by_division.error):
            text += f" ({_interval(best.by_division.value, *best.by_division.interval())})"
    others = [one for one in contrasts if one.question != BEST]
    if others:
        told = [f"{one.question} {one.word} ({_interval(one.auroc.value, *one.bounds[:2])})" for one in others]
        text += f". At each classifier: {', '.join(told)}"
    return f"{text}."


def expectation(patients: Mapping[str, int], margin: float, trainings: int = differences.TRAININGS) -> str:
    """What a study of that many test patients can find, to be said before anything is trained.

    Args:
      patients: class to number of those who are tested.
      margin: of AUROC.
      trainings: of everything that is cheap.
    """
    if trainings < differences.TRAININGS:
        return f"With fewer than {differences.TRAININGS} trainings only 'undecided' can come out."
    counts = list(patients.values())
    error = power.expected_error(counts)
    if not np.isfinite(error):
        return "Too few patients are tested for an interval: only 'undecided' can come out."
    alike = power.expected_error(counts, correlation=power.ALIKE)
    size, half = power.detectable(error, counts), power.half_width(error, counts)
    least, narrow = power.detectable(alike, counts), power.half_width(alike, counts)
    shown = ", ".join(f"{name} {count}" for name, count in patients.items())
    if least >= _MOST:
        return f"With {sum(counts)} test patients ({shown}) hardly any difference can be found: expect 'undecided'."
    text = (
        f"With {sum(counts)} test patients ({shown}), a difference of some {least:.2f} to {size:.2f} AUROC can be "
        "found (80% power; the more alike two pipelines rank patients, the smaller)"
    )
    if half < margin:
        return f"{text}, and pipelines that differ little can be shown to be equivalent within {margin:g}."
    if narrow < margin:
        return f"{text}; pipelines that rank patients alike can be shown to be equivalent within {margin:g}."
    return f"{text}; smaller ones come out as 'undecided', as equivalence within {margin:g} can hardly be shown."


def _most(one: Contrast, side: str) -> str:
    """The pipeline that was chosen most often."""
    chosen = one.sides[side].chosen
    name, times = next(iter(chosen.items()))
    total = sum(chosen.values())
    return name if times == total else f"{name} in {times} of {total} tasks"


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]" if np.isfinite([low, high]).all() else f"{value:+.3f}"
