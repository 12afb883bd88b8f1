import numpy as np
import pandas as pd
import pytest

import rembrandt_featgen
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation import engine, plans, vector_arms, vector_trials
from rembrandt_featgen.evaluation.studies import evaluate, table_of
from rembrandt_featgen.evaluation.vector_arms import VECTOR_ARMS, TrainingSamples


def cohort(classes=2, of_class=14, shift=3.0, seed=0):
    """Patients of two samples of five numbers, the first of which tells the class."""
    random = np.random.default_rng(seed)
    y = np.repeat(np.arange(classes), 2 * of_class)
    x = random.normal(size=(len(y), 5))
    x[:, 0] += shift * y
    x[random.random(x.shape) < 0.02] = np.nan
    return x, np.array(list("abc"))[y], np.repeat(np.arange(len(y) // 2), 2)


FEW = {"arms": ("none", "plain", "smote", "gaussian"), "classifiers": ("ridge",), "folds": 3, "bootstrap_draws": 100}


@pytest.mark.parametrize("classes", [2, 3])
def test_evaluate_finds_what_is_there(classes):
    x, y, patients = cohort(classes)
    study = evaluate(x, y, groups=patients, **FEW)
    assert list(study.arms["arm"]) == ["none", "plain", "smote", "gaussian"]
    assert (study.arms["auroc"] > 0.9).all()
    assert (study.arms["auroc_low"] <= study.arms["auroc"]).all()
    assert "generated features" in study.verdict
    assert len(study.predictions.select(arm="none")) == len(y)
    assert len(study.predictions.select(arm="smote")) == 2 * len(y)  # each at two amounts
    assert study.predictions.classes == Classes.of("abc"[:classes])


def test_it_is_the_packages_own():
    assert rembrandt_featgen.evaluate is evaluate
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        rembrandt_featgen.evaluat  # noqa: B018


def test_labels_at_random_give_chance():
    x, y, patients = cohort(shift=0.0, of_class=40)
    study = evaluate(pd.DataFrame(x), y, groups=patients, **{**FEW, "arms": ("none",)})
    row = study.arms.iloc[0]
    assert row["auroc_low"] < 0.5 < row["auroc_high"]


def test_bad_input_is_refused():
    x, y, _ = cohort()
    with pytest.raises(ValueError, match="received 'smoat'|received smoat"):
        evaluate(x, y, arms=("smoat",))
    with pytest.raises(ValueError, match="of the classes a, c"):
        evaluate(x, y, classes=("a", "c"))


def test_test_samples_change_nothing_that_was_learnt():
    x, y, patients = cohort()
    settings = vector_trials.Settings(("none", "smote"), (0.0,), classifiers=("ridge",))
    found = []
    for offset in (0.0, 100.0):
        table = table_of(x, y, groups=patients)
        task = plans.k_fold(table, folds=3, repeats=1, seeds=[0], validation=0.3)[0]
        table.values[task.test] += offset
        found.append(vector_trials.run(table, task, settings).choices)
    assert found[0] == found[1]


def test_a_task_that_is_done_is_not_done_again(tmp_path):
    x, y, patients = cohort()
    table = table_of(x, y, groups=patients)
    tasks = plans.k_fold(table, folds=3, repeats=1, seeds=[0], validation=0.3)
    settings = vector_trials.Settings(("none",), (0.0,), classifiers=("ridge",))
    done = []

    def work(task):
        done.append(task.name)
        if len(done) == 3:
            raise KeyboardInterrupt
        return vector_trials.run(table, task, settings)

    with pytest.raises(KeyboardInterrupt):
        engine.run(tasks, work, tmp_path)
    again = engine.gather(engine.run(tasks, work, tmp_path))
    assert done == [tasks[0].name, tasks[1].name, tasks[2].name, tasks[2].name]
    whole = engine.gather([vector_trials.run(table, task, settings) for task in tasks])
    np.testing.assert_array_equal(again.probabilities, whole.probabilities)
    assert again.patient.tolist() == whole.patient.tolist()


@pytest.mark.parametrize("name", list(VECTOR_ARMS))
def test_arms_do_what_they_say(name):
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [12, 4])
    samples = TrainingSamples(random.normal(size=(16, 3)).astype(np.float32), labels, np.arange(16))
    arm = VECTOR_ARMS[name]
    amount = 0.0 if arm.method else None
    made = vector_arms.problem(arm, samples, amount=amount, num_classes=2, signed=True, seed=0)
    counts = np.bincount(made.labels).tolist()
    assert counts == ([12, 12] if arm.method else [4, 4] if arm.undersample else [12, 4])
    assert (made.weights is not None) == (name == "class_weights")
    if made.weights is not None:
        np.testing.assert_allclose([made.weights[:12].sum(), made.weights[12:].sum()], 8.0)
    with pytest.raises(ValueError, match="amount, received"):
        vector_arms.problem(arm, samples, amount=None if arm.method else 0.0, num_classes=2, signed=True, seed=0)
