"""The best classical against the best generative arm of each draw of a few-shot study, chosen without the test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.evaluation.contrasts import BEST, choose, difference_record
from rembrandt_featgen.evaluation.few_shot_scores import Cohort
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.measures import differences, few_shot_errors
from rembrandt_featgen.measures.few_shot_errors import Estimate, Training

_RULE = (
    "AUROC per patient, over all pairs of patients that were tested in the same draw. In each draw the inner folds of "
    "the training patients choose, by log loss, one pipeline without generation ({without}) and one with it ({with_}), "
    "of all arms, amounts and classifiers; these two meet on the test patients. Regularisation is chosen by real "
    "samples alone, and fixed below 5 {unit}; it is that of every arm. 'Helped' asks for more: that with generation is "
    "above real samples alone, too, as few patients may choose badly among what generates nothing. The 95% interval of "
    "their difference is over new patients, tested and trained on, and over new draws; bounds hold for all numbers of "
    "shots at once. 'Equivalent': the 90% interval lies within the margin; else 'helped' or 'harmed': the 95% interval "
    "lies on one side of 0; else 'undecided'. The word of the study is that of all numbers of shots: 'helped' where "
    "some are and none is harmed, 'equivalent' where all are. The same is asked at each classifier, with bounds for "
    "all of these at once. With fewer than some 300 draws, intervals of arms that use the frequent class in another "
    "way (weights, undersampling) may be too narrow where patients are very few: in simulations of 60 draws they "
    "held the truth in 80 to 93%."
)
_OF_GANS = (
    " A GAN is trained once for a draw, so that its samples know those whom the inner folds judge: what is chosen with "
    "generation may look better there than it is."
)
_MOST = 0.3  # of AUROC: more than generation is ever worth
_MEANINGS = {
    "helped": "generation helped",
    "harmed": "generation harmed",
    "equivalent": "with and without generation the best pipelines differ by less than {margin:g}",
    "undecided": "this study cannot tell whether generation helps",
}
_SIDES = {"without": False, "with": True}
NONE = "none"  # the arm of real samples alone
NOTHING = "No generative arm was tested beside one that generates nothing."


def compare(
    tables: Mapping[int, PredictionsTable],
    cohort: Cohort,
    training: Mapping[int, Training],
    *,
    margin: float = differences.MARGIN,
) -> list[dict]:
    """The contrast of all classifiers and that of each of them, at each number of shots.

    Args:
      tables: shots to predictions by all pipelines, with their validation loss.
      cohort: of these tables.
      training: shots to who was trained on.
      margin: of AUROC, see `differences.word`.

    Returns:
      As report.json holds them: "question" (`BEST` or a classifier), "shots", "word", "without" and "with" ("auroc",
      "log_loss", "chosen"), "difference", "log_loss_difference" and "difference_to_none", of that with generation to
      real samples alone; those of `BEST` first. None where no arm generates, or all do.
    """
    made: dict[tuple[str, int], dict] = {}
    gaps: dict[tuple[str, int, str], Estimate] = {}
    for shots, table in tables.items():
        for question, part in ({BEST: table} | {n: rows for (n,), rows in table.split("classifier")}).items():
            chosen = {side: choose(part, generates) for side, generates in _SIDES.items()}
            if not all(map(len, chosen.values())):
                continue
            chosen[NONE] = choose(part.take(part.arm == NONE), False)
            both = {side: cohort.outcome(cohort.scores(rows)) for side, rows in chosen.items()}
            found = {
                side: [
                    few_shot_errors.difference(after, before, training=training[shots], drawn=cohort.resamples)
                    for after, before in zip(both["with"], both[side])
                ]
                for side in ("without", NONE)
            }
            gaps |= {(question, shots, side): of_auroc for side, (of_auroc, _) in found.items()}
            made[question, shots] = {
                side: {
                    "auroc": float(both[side].auroc.tested[0]),
                    "log_loss": float(both[side].log_loss.tested[0]),
                    "chosen": _times(chosen[side]),
                }
                for side in _SIDES
            } | {"log_loss_difference": difference_record(found["without"][1].difference)}
    bounds: dict[tuple[str, int, str], differences.Bounds] = {}
    for of_best in (True, False):
        family = {key: gap for key, gap in gaps.items() if (key[0] == BEST) == of_best}
        bounds |= differences.simultaneous(
            {key: gap.difference for key, gap in family.items()},
            {key: gap.values[:, None] for key, gap in family.items()},
        )
    contrasts = []
    for (question, shots), record in made.items():
        (gap, bound), (to_none, bound_to_none) = (
            (gaps[question, shots, side].difference, bounds[question, shots, side]) for side in ("without", NONE)
        )
        contrasts.append(
            {
                "question": question,
                "shots": shots,
                "word": both_words(differences.word(gap, margin, bound), bound_to_none),
                "difference": difference_record(gap, bound),
                "difference_to_none": difference_record(to_none, bound_to_none),
                **record,
            }
        )
    return sorted(contrasts, key=lambda one: one["question"] != BEST)


def both_words(word_of_best: str, to_none: differences.Bounds) -> str:
    """The word of what generates: "helped" only where it is above real samples alone, too.

    Args:
      word_of_best: of the difference to what was chosen without generation.
      to_none: bounds of the difference to real samples alone.
    """
    return "undecided" if word_of_best == "helped" and not to_none.low > 0 else word_of_best


def word(contrasts: Sequence[Mapping]) -> str:
    """The word of a study, of the best pipelines at all numbers of shots; "undecided" where nothing was generated."""
    words = {one["word"] for one in contrasts if one["question"] == BEST}
    if len(words) == 1:
        return words.pop()
    helped, harmed = "helped" in words, "harmed" in words
    return "undecided" if helped == harmed else "helped" if helped else "harmed"


def rule(tables: Mapping[int, PredictionsTable], unit: str) -> str:
    """How a study of these arms comes to its word.

    Args:
      tables: shots to predictions.
      unit: what shots count.
    """
    of_kind: dict[str, dict[str, None]] = {}
    for table in tables.values():
        for (kind, arm), _ in table.split("kind", "arm"):
            of_kind.setdefault(str(kind), {})[str(arm)] = None
    classical = ", ".join(of_kind.get("classical", ()))
    text = _RULE.format(
        without="real samples alone" + (f" and {classical}" if classical else ""),
        with_=", ".join(of_kind.get("generative", ())) or "of which there is none here",
        unit=unit,
    )
    return text + (_OF_GANS if any(ARMS[arm].pool for arm in of_kind.get("generative", ()) if arm in ARMS) else "")


def sentence(contrasts: Sequence[Mapping], *, cut: str, draws: int, margin: float, unit: str = "patients") -> str:
    """What a study says, of the best pipelines at each number of shots.

    Args:
      contrasts: of `compare`.
      cut: name of the class of which few are trained on.
      draws: number of draws of patients to train on.
      margin: of AUROC.
      unit: what shots count, "patients" or "groups of patients".
    """
    best = [one for one in contrasts if one["question"] == BEST]
    if not best:
        return NOTHING
    found = word(contrasts)
    shown = []
    for one in best:
        gap = one["difference"]
        low, high = gap["simultaneous95"]
        text = f"{gap['difference']:+.3f} [{low:+.3f}, {high:+.3f}] with {one['shots']} {unit} ({one['word']}"
        if one["word"] == "undecided" and low > 0:
            to_none = one["difference_to_none"]
            at_least, at_most = to_none["simultaneous95"]
            text += f", as to real samples alone it is {to_none['difference']:+.3f} [{at_least:+.3f}, {at_most:+.3f}]"
        if gap["detectable"] < _MOST:
            text += f"; {gap['detectable']:.3f} could have been found"
        else:
            text += "; no difference that is to be expected could have been found"
        loss = one["log_loss_difference"]
        if loss["ci95"][0] > 0:
            text += f"; its probabilities are worse, log loss {loss['difference']:+.3f}"
        shown.append(f"{text})")
    text = (
        f"{found.capitalize()}: {_MEANINGS[found].format(margin=margin)} where few {unit} of class {cut} are trained "
        f"on: difference of AUROC of the pipelines that inner folds choose {', '.join(shown)}; {draws} draws, margin "
        f"{margin:g}"
    )
    return f"{text}."


def _times(table: PredictionsTable) -> dict[str, int]:
    """How often each pipeline was chosen, the most frequent first."""
    keys = ("classifier", "arm", "amount", "draw")
    pipelines = {key: "/".join(filter(None, key[:3])) for key, _ in table.split(*keys)}
    return dict(Counter(pipelines.values()).most_common())
