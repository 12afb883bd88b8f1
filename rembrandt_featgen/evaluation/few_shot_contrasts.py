"""The best classical against the best generative arm of each draw of a few-shot study, chosen without the test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rembrandt_featgen.evaluation.arms import ARMS, ORACLE
from rembrandt_featgen.evaluation.contrasts import BEST, difference_record
from rembrandt_featgen.evaluation.few_shot_choices import NONE, WITH, WITHOUT, Choices
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.measures import differences
from rembrandt_featgen.measures.few_shot_errors import Estimate

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
    "all of these at once. Intervals of arms that use the frequent class in another way "
    "(weights, undersampling) may be too narrow where patients are very few: in simulations with 3 of them they held "
    "the truth in 85 and 95% with 60 draws, and in 89 and 94% with 300."
)
_OF_GANS = (
    " A GAN is trained once for a draw, so that its samples know those whom the inner folds judge: what is chosen with "
    "generation may look better there than it is."
)
_TRIED = 60  # draws, the least with which intervals were simulated
_MOST = 0.3  # of AUROC: more than generation is ever worth
_MEANINGS = {
    "helped": "generation helped",
    "harmed": "generation harmed",
    "equivalent": "with and without generation the best pipelines differ by less than {margin:g}",
    "undecided": "this study cannot tell whether generation helps",
}
_SIDES = (WITHOUT, WITH)
NOTHING = "No generative arm was tested beside one that generates nothing."


def compare(choices: Choices, *, margin: float = differences.MARGIN) -> list[dict]:
    """The contrast of all classifiers and that of each of them, at each number of shots.

    Args:
      choices: what inner folds chose.
      margin: of AUROC, see `differences.word`.

    Returns:
      As report.json holds them: "question" (`BEST` or a classifier), "shots", "word", "without" and "with" ("auroc",
      "log_loss", "chosen"), "difference", "log_loss_difference" and "difference_to_none", of that with generation to
      real samples alone; those of `BEST` first. None where no arm generates, or all do.
    """
    made: dict[tuple[str, int], dict] = {}
    gaps: dict[tuple[str, int, str], Estimate] = {}
    for shots in choices.tables:
        known = choices.classifiers(shots)
        for question, of in {BEST: known, **{name: (name,) for name in known}}.items():
            rows = {side: choices.rows(shots, of, side) for side in _SIDES}
            if not all(map(len, rows.values())):
                continue
            both = {side: choices.outcome(shots, of, side) for side in _SIDES}
            loss = choices.difference(shots, both[WITH].log_loss, both[WITHOUT].log_loss)
            gaps |= {(question, shots, side): choices.gap(shots, of, side) for side in (WITHOUT, NONE)}
            made[question, shots] = {
                side: {
                    "auroc": float(both[side].auroc.tested[0]),
                    "log_loss": float(both[side].log_loss.tested[0]),
                    "chosen": _times(rows[side]),
                }
                for side in _SIDES
            } | {"log_loss_difference": difference_record(loss.difference)}
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
            (gaps[question, shots, side].difference, bounds[question, shots, side]) for side in (WITHOUT, NONE)
        )
        contrasts.append(
            {
                "question": question,
                "shots": shots,
                "word": differences.word_beyond_none(differences.word(gap, margin, bound), bound_to_none),
                "difference": difference_record(gap, bound),
                "difference_to_none": difference_record(to_none, bound_to_none),
                **record,
            }
        )
    return sorted(contrasts, key=lambda one: one["question"] != BEST)


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
        if one["word"] == "equivalent" and not -margin < low <= high < margin:  # which is asked of the 90% interval
            text += f" by the 90% interval [{gap['ci90'][0]:+.3f}, {gap['ci90'][1]:+.3f}]"
        if one["word"] == "undecided" and low > 0:
            to_none = one["difference_to_none"]
            at_least, at_most = to_none["simultaneous95"]
            text += f", as to real samples alone it is {to_none['difference']:+.3f} [{at_least:+.3f}, {at_most:+.3f}]"
        found_from = f"{gap['detectable']:.3f} could have been found"
        text += f"; {found_from}" if gap["detectable"] < _MOST else f"; only {found_from}, more than is to be expected"
        if one["log_loss_difference"]["ci95"][0] > 0:
            losses = (f"{one[side]['log_loss']:.2f} {side} it" for side in (WITH, WITHOUT))
            text += f"; its probabilities, at the class frequencies trained on, are worse: log loss {', '.join(losses)}"
        shown.append(f"{text})")
    text = (
        f"{found.capitalize()}: {_MEANINGS[found].format(margin=margin)} where few {unit} of class {cut} are trained "
        f"on: difference of AUROC of the pipelines that inner folds choose {', '.join(shown)}; {draws} draws, margin "
        f"{margin:g}"
    )
    return f"{text}."


def of_real_patients(rows: Sequence[Mapping], *, reserve: int, unit: str) -> str:
    """What real patients more add, by which a word is read: a study that does not see these sees no generator.

    Args:
      rows: of report.json.
      reserve: further groups that the arm "oracle" is trained on.
      unit: what shots count.

    Returns:
      A sentence after a blank, of the classifier and shots where they add most of those where they are shown to add
      anything, if there are such; empty without that arm.
    """
    oracles = [one for one in rows if one["arm"] == ORACLE]
    if not oracles:
        return ""
    shown = [one for one in oracles if one["difference"]["simultaneous95"][0] > 0]
    most = max(shown or oracles, key=lambda one: one["difference"]["difference"])
    low, high = most["difference"]["simultaneous95"]
    gain = f"{most['difference']['difference']:+.3f} [{low:+.3f}, {high:+.3f}] ({most['classifier']}, {most['shots']})"
    if shown:
        return f" {reserve} real {unit} more add up to {gain}."
    return f" Not even {reserve} real {unit} more are shown to help: {gain} at most."


def few_draws(draws: int) -> list[str]:
    """A warning where draws are so few that nobody knows how often their intervals are right."""
    if draws >= _TRIED:
        return []
    return [
        f"{draws} draws are few: intervals were tried with {_TRIED} and more. Take a larger --draws; those that are "
        "done serve."
    ]


def _times(table: PredictionsTable) -> dict[str, int]:
    """How often each pipeline was chosen, the most frequent first."""
    keys = ("classifier", "arm", "amount", "draw")
    pipelines = {key: "/".join(filter(None, key[:3])) for key, _ in table.split(*keys)}
    return dict(Counter(pipelines.values()).most_common())
