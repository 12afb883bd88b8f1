import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rembrandt_featgen.evaluation import final_model
from rembrandt_featgen.evaluation.competitors import Pipeline, Settings
from rembrandt_featgen.evaluation.studies import table_of
from rembrandt_featgen.generation.sample_pool import SamplePool
from rembrandt_featgen.measures import decisions
from tests.evaluation.unbalanced import cohort

SETTINGS = Settings(arms=(), amounts=(), classifiers=())


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


def test_thresholds_rest_on_whom_no_shared_network_has_seen():
    trained, samples = np.array([True, True, False]), (np.zeros((2, 3)), np.zeros(2, int))
    gan, copies = SamplePool(*samples), SamplePool(*samples, np.array(["a", "b"]))
    for unet_saw, pool, all_judge in [
        (False, None, True),
        (False, copies, True),
        (False, gan, False),
        (True, None, False),
    ]:
        found = final_model.judged(trained, unet_saw=unet_saw, pool=pool)
        assert found.tolist() == [all_judge, all_judge, True]
