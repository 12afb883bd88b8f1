"""Differences and contrasts of a made-up study: all numbers follow from a value, its error and degrees of freedom."""

from rembrandt_featgen.evaluation import contrasts, verdicts
from rembrandt_featgen.measures import differences
from rembrandt_featgen.measures.differences import Bounds, Difference

DEGREES = 61.0  # of the smaller class's 62 patients
MARGIN = 0.05


def bounds(found, family):
    """Bonferroni's, so that the adjusted p is below 0.05 just where they exclude 0."""
    return Bounds(*found.interval(differences.LEVEL / family), min(1.0, family * found.p_value))


def difference(value, *, against, family, error=0.02):
    """Of an arm's row, one of `family` arms."""
    found = Difference(value, error, DEGREES, 5)
    low, high, p_value = bounds(found, family)
    record = {"against": against, "measure": "auroc", **contrasts.difference_record(found)}
    return {**record, "simultaneous95": [low, high], "p_adjusted": p_value}


def contrast(question, without, with_, *, family, error):
    """Of two rows of arms; `family` contrasts share their bounds."""
    found = Difference(with_["auroc"] - without["auroc"], error, DEGREES, 5)
    ends = Bounds(*found.interval(), found.p_value) if question == contrasts.BEST else bounds(found, family)
    loss = Difference(with_["log_loss"] - without["log_loss"], error, DEGREES, 5)
    sides = {}
    for side, row, amount, other in (("without", without, "", "class_weights"), ("with", with_, "/balance", "vae/1.0")):
        chosen = {f"{row['classifier']}/{row['arm']}{amount}": 19, f"{row['classifier']}/{other}": 6}
        sides[side] = contrasts.Side(row["auroc"], row["log_loss"], chosen=chosen)
    return contrasts.Contrast(
        question,
        word=differences.word(found, MARGIN, ends),
        sides=sides,
        auroc=found,
        log_loss=loss,
        bounds=ends,
        by_division=Difference(found.value - 0.004, 1.5 * error, 4.0, 5),
    )


def compare(rows, patients, *, error):
    """What report.json says of the verdict, from rows per patient of all classifiers."""
    classifiers = dict.fromkeys(row["classifier"] for row in rows)
    generative = [row for row in rows if row["kind"] == "generative"]
    made = []
    for question in (contrasts.BEST, *classifiers) if generative else ():
        both = []
        for generates in (False, True):
            of_question = [row for row in rows if question in (contrasts.BEST, row["classifier"])]
            of_kind = [row for row in of_question if (row["kind"] == "generative") == generates]
            both.append(max(of_kind, key=lambda row: row["auroc"]))
        made.append(contrast(question, *both, family=len(classifiers), error=error))
    return {
        "verdict": verdicts.sentence(made, patients, MARGIN),
        "verdict_word": verdicts.word(made),
        "verdict_rule": verdicts.RULE,
        "contrasts": [one.record for one in made],
        "margin": MARGIN,
        "expected": verdicts.expectation(patients, MARGIN),
    }
