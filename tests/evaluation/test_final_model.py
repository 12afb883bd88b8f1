import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import final_choice, final_model, seen_patients
from rembrandt_featgen.evaluation.competitors import Pipeline, Settings
from rembrandt_featgen.evaluation.final_choice import Choice
from rembrandt_featgen.evaluation.studies import evaluate, table_of
from rembrandt_featgen.measures import decisions

SETTINGS = Settings(arms=(), amounts=(), classifiers=())


def cohort(n=80, seed=0, shift=1.5):
    random = np.random.default_rng(seed)
    y = np.arange(n) % 4 == 0
    x = random.normal(size=(n, 6)).astype(np.float32)
    x[:, 0] += shift * y
    x[::9, 1] = np.nan
    return x, np.where(y, "b", "a")


def choices(**losses):
    return [{"pipelines": {name: {"loss": loss} for name, loss in zip(losses, each)}} for each in zip(*losses.values())]


def test_the_lowest_mean_validation_loss_chooses():
    tasks = choices(**{"ridge/none": (0.6, 0.4), "ridge/smote/1": (0.3, 0.6), "mlp/none": (0.2, None)})
    choice = final_choice.choose(tasks)
    assert (choice.name, choice.classifier, choice.pipeline) == ("ridge/smote/1", "ridge", Pipeline("smote", 1.0))
    assert choice.losses == pytest.approx({"ridge/smote/1": 0.45, "ridge/none": 0.5})
    wanted = final_choice.choose(tasks, "mlp/none")
    assert (wanted.pipeline, wanted.loss, wanted.rule) == (Pipeline("none", None), None, "--final_pipeline")
    with pytest.raises(InputError, match="--final_pipeline=mlp/smote: the study has no such pipeline; .* ridge/none"):
        final_choice.choose(tasks, "mlp/smote")
    with pytest.raises(InputError, match="no validation losses"):
        final_choice.choose(choices(**{"ridge/none": (np.nan,)}))


@pytest.mark.parametrize("one", [Pipeline("none", None), Pipeline("smote", 1.0), Pipeline("plain", None)])
def test_it_is_fitted_on_all_and_tells_others_apart(one):
    x, y = cohort()
    table = table_of(x, y)
    fitted = final_model.fit(table, "ridge", one, settings=SETTINGS, seed=3)
    again = final_model.fit(table, "ridge", one, settings=SETTINGS, seed=3)
    np.testing.assert_array_equal(fitted.pipeline.model.arrays["kernel"], again.pipeline.model.arrays["kernel"])
    added = 0 if one.amount is None else 40 + 40 + 40  # to balance, and half of 80 to each
    assert fitted.samples.sum() == 80 + added
    others, truth = cohort(400, seed=1)
    p = fitted.pipeline.probabilities(others)
    assert roc_auc_score(truth == "b", p[:, 1]) > 0.75
    assert abs(p[:, 1].mean() - 0.25) < 0.1  # at the frequency of the class among real samples, whatever was added
    if one.arm == "plain":
        assert (fitted.pipeline.thresholds == decisions.even(2)).all()
    else:
        right = decisions.decide(p, fitted.pipeline.thresholds) == (truth == "b")
        assert np.mean([right[truth == name].mean() for name in "ab"]) > 0.65
        assert fitted.out_of_fold == 80


def test_thresholds_rest_on_patients_that_their_model_never_saw():
    x, y = cohort(shift=0.0)
    fitted = final_model.fit(table_of(x, y), "neighbours", Pipeline("plain", None), settings=SETTINGS, seed=0)
    own = fitted.pipeline.probabilities(x)
    assert roc_auc_score(y == "b", own[:, 1]) == 1.0  # of one neighbour each sample is its own
    settled = final_model.fit(
        table_of(x, y), "neighbours", Pipeline("threshold_tuning", None), settings=SETTINGS, seed=0
    )
    assert settled.pipeline.model.strength == 1
    of_own = decisions.choose_thresholds(y == "b", own, [0.75, 0.25])
    assert settled.pipeline.thresholds[1] != of_own[1]


def test_expected_performance_is_the_studys():
    x, y = cohort(60)
    study = evaluate(x, y, arms=("none", "smote"), amounts=(0.0,), classifiers=("ridge",), folds=3, bootstrap_draws=100)
    losses = [{"ridge/none": 0.1, "ridge/smote/0": 0.2}, {"ridge/none": 0.1, "ridge/smote/0": 0.2}]
    losses.append({"ridge/none": 0.3, "ridge/smote/0": 0.2})
    tasks = [{"pipelines": {name: {"loss": loss} for name, loss in one.items()}} for one in losses]
    choice = final_choice.choose(tasks)
    assert choice.name == "ridge/none"
    expected = final_choice.expected_performance(study.predictions, tasks, choice, draws=100, seed=0)
    reported = study.arms.set_index("arm").loc["none"]
    assert expected["pipeline"]["auroc"] == pytest.approx(reported["auroc"])
    assert expected["pipeline"]["ci95"]["auroc"] == pytest.approx((reported["auroc_low"], reported["auroc_high"]))
    none, smote = (study.predictions.select(arm=arm) for arm in ("none", "smote"))
    mixed = np.concatenate([none.take(none.fold != "2").probabilities, smote.take(smote.fold == "2").probabilities])
    truth = np.concatenate([none.take(none.fold != "2").label, smote.take(smote.fold == "2").label])
    assert expected["procedure"]["auroc"] == pytest.approx(roc_auc_score(truth, mixed[:, 1]), abs=1e-6)
    assert expected["procedure"]["n"] == {"a": 45, "b": 15}
    by_hand = Choice("ridge/none", None, rule="--final_pipeline", losses={})
    assert set(final_choice.expected_performance(study.predictions, tasks, by_hand, draws=100, seed=0)) == {"pipeline"}


def test_patients_of_the_study_are_recognised_under_any_name():
    x, y = cohort(20)
    table = table_of(x, y, groups=[f"p{n}" for n in range(20)])
    seen = seen_patients.record(table)
    assert "p3" not in str(seen)
    others, labels = cohort(20, seed=1)
    seen_patients.refuse(table_of(others, labels, groups=[f"q{n}" for n in range(20)]), seen, "--test_features=f")
    with pytest.raises(
        InputError, match="--test_features=f has 1 patient whose id or group was in the study .*: P3 ; .*"
    ):
        seen_patients.refuse(table_of(others, labels, groups=["P3 ", *range(19)]), seen, "--test_features=f")
    others[5] = x[9]
    assert np.isnan(others[5]).any()
    with pytest.raises(InputError, match="has 1 patient with all values of a sample that was in the study .*: q5"):
        seen_patients.refuse(table_of(others, labels, groups=[f"q{n}" for n in range(20)]), seen, "--test_features=f")


def test_values_that_many_have_are_no_sign():
    y = np.array(["a", "b"] * 6)
    seen = seen_patients.record(table_of(np.arange(12)[:, None] % 5, y))
    others = table_of(np.zeros((12, 1)), y, groups=[f"q{n}" for n in range(12)])
    assert seen_patients.refuse(others, seen, "--test_features=f") is None
