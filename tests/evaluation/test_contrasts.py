import dataclasses
import re

import numpy as np
import pytest
from scipy import special
from sklearn import metrics

from rembrandt_featgen.evaluation import contrasts, verdicts
from rembrandt_featgen.evaluation.predictions import join
from rembrandt_featgen.measures import differences
from tests.evaluation.simulated import predictions

LABELS = np.arange(80) % 2


def scores(signal, seed, noise=0):
    random = np.random.default_rng([seed, noise])
    return special.expit(signal * (2 * LABELS - 1) + random.normal(size=len(LABELS)))


def pipeline(arm, kind, signal, *, classifier="mlp", amount="", losses=(0.5,) * 5, noise=0):
    """Predictions of one pipeline in five divisions, each with a validation loss."""
    tables = [
        predictions(
            arm, scores(signal, draw, noise), LABELS, kind=kind, amount=amount, draw=draw, validation_loss=loss
        ).replace(classifier=classifier)
        for draw, loss in enumerate(losses)
    ]
    return join(tables)


def auroc(signal, draws=range(5)):
    return np.mean([metrics.roc_auc_score(LABELS, scores(signal, seed=draw)) for draw in draws])


def test_validation_patients_choose_in_each_task():
    table = join(
        [
            pipeline("none", "none", 0.2, losses=(0.4, 0.6, 0.6, 0.6, 0.6)),
            pipeline("smote", "classical", 0.3, amount="0"),
            pipeline("covariates", "none", 2.0, losses=(0.1,) * 5),  # knows what the others do not
            pipeline("gaussian", "generative", 0.4, amount="0"),
            pipeline("gaussian", "generative", 0.5, amount="1", losses=(0.7, 0.4, 0.7, np.nan, 0.7)),
        ]
    )
    without, with_ = contrasts.choose(table, False), contrasts.choose(table, True)
    assert [without.select(draw=draw).arm[0] for draw in range(5)] == ["none", "smote", "smote", "smote", "smote"]
    assert [with_.select(draw=draw).amount[0] for draw in range(5)] == ["0", "1", "0", "0", "0"]
    best, of_classifier = contrasts.contrasts(table, draws=100, seed=0)
    assert (best.question, of_classifier.question) == (contrasts.BEST, "mlp")
    assert best.sides["without"].chosen == {"mlp/smote/0": 4, "mlp/none": 1}
    assert best.sides["with"].chosen == {"mlp/gaussian/0": 4, "mlp/gaussian/1": 1}
    wanted = (auroc(0.2, [0]) + 4 * auroc(0.3, [1, 2, 3, 4])) / 5
    assert best.sides["without"].auroc == pytest.approx(wanted)
    assert best.auroc.value == pytest.approx(best.sides["with"].auroc - wanted)
    assert best.auroc.trainings == 5
    assert best.log_loss.value == pytest.approx(best.sides["with"].log_loss - best.sides["without"].log_loss)


@pytest.mark.parametrize(
    ("signal", "noise", "word"),
    [(2.0, 0, "helped"), (0.05, 0, "harmed"), (0.601, 0, "equivalent"), (0.6, 1, "undecided")],
)
def test_words_follow_the_test_patients(signal, noise, word):
    table = join([pipeline("none", "none", 0.6), pipeline("gaussian", "generative", signal, noise=noise)])
    (best, of_classifier) = contrasts.contrasts(table, draws=300, seed=0)
    assert best.word == of_classifier.word == word
    assert best.bounds[:2] == best.auroc.interval()


def test_a_classifier_may_gain_what_the_best_pipeline_does_not():
    """A network that nobody regularised gains, and stays behind the ridge that it should have been compared with."""
    table = join(
        [
            pipeline("none", "none", 0.2),
            pipeline("gaussian", "generative", 1.0),
            pipeline("none", "none", 1.2, classifier="ridge", losses=(0.3,) * 5),
            pipeline("gaussian", "generative", 1.201, classifier="ridge", losses=(0.3,) * 5),
        ]
    )
    found = {one.question: one for one in contrasts.contrasts(table, draws=300, seed=0)}
    assert {question: one.word for question, one in found.items()} == {
        "best pipeline": "equivalent",
        "mlp": "helped",
        "ridge": "equivalent",
    }
    width = np.diff(found["mlp"].auroc.interval())
    assert found["mlp"].bounds.high - found["mlp"].bounds.low > width  # of two at once
    text = verdicts.sentence(list(found.values()), {"LGG": 40, "HGG": 40}, 0.05)
    assert text.startswith(
        "Equivalent: the pipelines that validation patients choose with and without generation differ by less than "
        "0.05: AUROC per patient 0."
    )
    assert "real samples alone" not in text  # which are what was chosen
    assert "(ridge/gaussian)" in text and "(ridge/none)" in text
    assert "80 patients, 5 trainings; a difference of 0." in text
    low, high = found["best pipeline"].auroc.interval()
    narrow = 0.5 * (np.abs([low, high]).max() + np.abs(found["best pipeline"].auroc.interval(0.1)).max())
    assert "by the 90% interval [-0.0" in verdicts.sentence(list(found.values()), {"LGG": 40, "HGG": 40}, narrow)
    assert "90%" not in text
    assert "At each classifier: mlp helped (+0." in text and ", ridge equivalent (+0.000 [-0.0" in text


def test_a_choice_that_is_worse_than_real_samples_alone_is_said():
    """Where validation patients chose an arm that does harm, "helped" is over that arm."""
    table = join(
        [
            pipeline("none", "none", 1.2),
            pipeline("smote", "classical", 0.3, losses=(0.3,) * 5),
            pipeline("gaussian", "generative", 1.0),
        ]
    )
    best = contrasts.contrasts(table, draws=100, seed=0)[0]
    assert best.word == "helped" and best.alone == best.record["alone"] == {"mlp": pytest.approx(auroc(1.2))}
    text = verdicts.sentence([best], {"LGG": 40, "HGG": 40}, 0.05)
    assert f"real samples alone have {auroc(1.2):.3f} at mlp (picked after the test)" in text


def test_one_training_decides_nothing():
    table = join([pipeline("none", "none", 0.1, losses=(0.5,)), pipeline("gaussian", "generative", 2.0, losses=(0.5,))])
    compared = contrasts.contrasts(table, draws=100, seed=0)
    assert compared[0].auroc.interval()[0] > 0.1
    assert verdicts.word(compared) == "undecided"
    text = verdicts.sentence(compared, {"LGG": 40, "HGG": 40}, 0.05)
    assert "1 training; with fewer" in text and "could have been found" not in text
    assert "with fewer than 5 trainings another seed could" in verdicts.sentence(compared, {"L": 40, "H": 40}, 0.05)


def test_a_generator_that_was_trained_once_needs_divisions():
    """Its chance is the same in all seeds of a division: they cannot say how another GAN would do."""
    table = join([pipeline("none", "none", 0.6), pipeline("acgan", "generative", 2.0)])
    seeds = table.replace(seed=table.draw, draw=0)
    once = contrasts.contrasts(seeds, draws=200, seed=0)[0]
    assert once.generator_once and once.auroc.interval()[0] > 0 and once.word == "undecided"
    assert once.record["generator_once"]
    fold = np.array([str(int(patient[1:]) // 16) for patient in table.patient])
    five = contrasts.contrasts(seeds.replace(fold=fold), draws=200, seed=0)
    assert five[0].generator_once and five[0].word == "helped" and five[0].by_division.trainings == 5
    text = verdicts.sentence(five, {"LGG": 40, "HGG": 40}, 0.05)
    assert "trained once for all seeds, the word rests on the spread between folds (+0." in text
    divisions = contrasts.contrasts(table, draws=200, seed=0)[0]
    assert not divisions.generator_once and divisions.word == "helped"  # five divisions have five generators


def test_seeds_of_one_division_are_trainings():
    table = join([pipeline("none", "none", 0.6), pipeline("gaussian", "generative", 0.6)])
    table = table.replace(seed=table.draw, draw=0)
    (one, _) = contrasts.contrasts(table, draws=50, seed=0)
    assert one.auroc.trainings == 5 and one.of_one_division
    assert "5 trainings of one division; a" in verdicts.sentence([one], {"LGG": 40, "HGG": 40}, 0.05)


def test_seeds_within_divisions_are_no_trainings_more():
    """Two divisions with three seeds each: what divisions and their U-Nets share would be counted three times."""
    table = join(
        [pipeline("none", "none", 0.6, losses=(0.5,) * 6), pipeline("gaussian", "generative", 2.0, losses=(0.5,) * 6)]
    )
    table = table.replace(seed=table.draw % 3, draw=table.draw // 3)
    (one, _) = contrasts.contrasts(table, draws=50, seed=0)
    assert one.auroc.trainings == 2 and one.word == "undecided"


def test_nothing_is_asked_where_nothing_generates():
    assert contrasts.contrasts(pipeline("none", "none", 0.6), draws=50, seed=0) == []
    assert verdicts.word([]) == "undecided"
    assert verdicts.sentence([], {"a": 3}, 0.05) == "No generative arm was tested."


def test_a_class_of_one_patient_leaves_it_undecided():
    table = join([pipeline("none", "none", 0.6), pipeline("gaussian", "generative", 2.0)])
    few = table.take(np.isin(table.patient, [f"P{n}" for n in (0, 2, 4, 5)]))
    compared = contrasts.contrasts(few, draws=50, seed=0)
    assert verdicts.word(compared) == "undecided"
    text = verdicts.sentence(compared, {"a": 3, "b": 1}, 0.05)
    assert "a class has fewer than two patients" in text and "nan" not in text


def test_the_corrected_error_takes_each_division_once():
    """Two folds a division: by hand, the differences of AUROC within the folds, seeds averaged."""
    table = join([pipeline("none", "none", 0.6), pipeline("gaussian", "generative", 1.0)])
    fold = np.array([int(patient[1:]) // 40 for patient in table.patient])
    table = table.replace(fold=fold.astype(str))
    gaps = []
    for draw in range(5):
        for rows in (slice(0, 40), slice(40, 80)):
            gaps.append(
                metrics.roc_auc_score(LABELS[rows], scores(1.0, draw)[rows])
                - metrics.roc_auc_score(LABELS[rows], scores(0.6, draw)[rows])
            )
    found = contrasts.by_division(table.select(arm="none"), table.select(arm="gaussian"))
    wanted = differences.corrected(gaps, 40 / 40)
    assert found == pytest.approx(tuple(wanted))


def test_the_record_has_everything_of_a_contrast():
    table = join([pipeline("none", "none", 0.6), pipeline("gaussian", "generative", 1.0)])
    best = contrasts.contrasts(table, draws=100, seed=0)[0]
    assert dataclasses.is_dataclass(best)
    found = best.record
    assert found["with"]["chosen"] == {"mlp/gaussian": 5}
    assert found["difference"]["ci95"][0] < found["difference"]["ci90"][0] < found["difference"]["difference"]
    assert found["nadeau_bengio"]["divisions"] == 5 and np.isnan(found["nadeau_bengio"]["ci95"]).all()
    assert found["difference"]["detectable"] > 2.5 * found["difference"]["error"]


def test_what_can_be_found_is_said_before_training():
    few = verdicts.expectation({"LGG": 12, "HGG": 9}, 0.05)
    assert few.startswith("With 21 test patients (LGG 12, HGG 9), a difference of some 0.")
    least, most = map(float, re.search(r"some (.*) to (.*) AUROC", few).groups())
    assert 0.3 < least / most < 0.45  # sqrt(0.02 / 0.15) is 0.37
    fewer = verdicts.expectation({"LGG": 8, "HGG": 6}, 0.05)
    assert fewer.endswith("smaller ones come out as 'undecided', as equivalence within 0.05 can hardly be shown.")
    some = verdicts.expectation({"LGG": 55, "HGG": 15}, 0.05)
    assert some.endswith("pipelines that rank patients alike can be shown to be equivalent within 0.05.")
    many = verdicts.expectation({"LGG": 250, "HGG": 250}, 0.05)
    assert many.endswith("pipelines that differ little can be shown to be equivalent within 0.05.")
    assert verdicts.expectation({"LGG": 12, "HGG": 1}, 0.05).startswith("Too few patients")
    lone = verdicts.expectation({"LGG": 3, "HGG": 2}, 0.05)
    assert lone == "With 5 test patients (LGG 3, HGG 2) hardly any difference can be found: expect 'undecided'."
    assert verdicts.expectation({"LGG": 12, "HGG": 9}, 0.05, 4).endswith("only 'undecided' can come out.")


def test_the_factor_of_new_training_patients_counts_divisions():
    table = pipeline("none", "none", 0.6)
    assert contrasts.inflation(table) is None  # each run is one fold
    fold = np.array([str(int(patient[1:]) // 16) for patient in table.patient])
    assert contrasts.inflation(table.replace(fold=fold)) == pytest.approx(1 / 5 + 1 + 16 / 64)
    seeds = table.replace(fold=fold, seed=table.draw, draw=0)
    assert contrasts.inflation(seeds) == pytest.approx(1 + 1 + 16 / 64)
