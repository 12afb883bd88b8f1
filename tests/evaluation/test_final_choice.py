import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import final_choice
from rembrandt_featgen.evaluation.competitors import Pipeline
from rembrandt_featgen.evaluation.final_choice import Choice
from rembrandt_featgen.evaluation.studies import evaluate
from tests.evaluation.unbalanced import cohort


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


def test_what_a_model_may_learn_from():
    tasks = choices(**{"cnn/none": (0.1,), "ridge/covariates": (0.2,), "ridge/none": (0.3,)})
    assert final_choice.choose(tasks).name == "ridge/covariates"  # a file has no slices
    assert final_choice.choose(tasks, of_volumes=True).name == "cnn/none"
    with pytest.raises(InputError, match="as a model of volumes takes no clinical columns"):
        final_choice.choose(tasks, "ridge/covariates", of_volumes=True)
    with pytest.raises(InputError, match="no pipeline of the study can be a final model"):
        final_choice.choose(choices(**{"cnn/none": (0.1,)}))


def test_expected_performance_is_the_studys():
    x, y = cohort(60)
    settings = {"arms": ("none", "smote"), "amounts": (0.0,), "classifiers": ("ridge",)}
    study = evaluate(x, y, **settings, folds=3, trainings=1, bootstrap_draws=100)
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
    chosen = [none.take(none.fold == "0"), none.take(none.fold == "1"), smote.take(smote.fold == "2")]
    wanted = np.mean([roc_auc_score(rows.label, rows.probabilities[:, 1]) for rows in chosen])  # as many pairs in each
    assert expected["procedure"]["auroc"] == pytest.approx(wanted, abs=1e-6)
    assert expected["procedure"]["n"] == {"a": 45, "b": 15}
    by_hand = Choice("ridge/none", None, rule="--final_pipeline", losses={})
    assert set(final_choice.expected_performance(study.predictions, tasks, by_hand, draws=100, seed=0)) == {"pipeline"}
