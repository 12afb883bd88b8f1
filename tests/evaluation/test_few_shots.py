import dataclasses

import numpy as np
import pytest

from rembrandt_featgen.classification.classifier_kinds import CLASSIFIER_KINDS
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import competitors, few_shots, trial_samples, trials
from rembrandt_featgen.evaluation.competitors import Pipeline
from rembrandt_featgen.evaluation.engine import Outcome
from rembrandt_featgen.evaluation.studies import table_of
from rembrandt_featgen.evaluation.trial_samples import Trial
from rembrandt_featgen.features.tables import table_of_arrays


def table(common=30, rare=25, samples=2, shift=1.5):
    """Groups of two samples each; the first of four numbers tells the class."""
    labels = np.repeat([0, 1], [common, rare])
    random = np.random.default_rng(0)
    x = random.normal(size=(len(labels), 4))
    x[:, 0] += shift * labels
    groups = np.arange(len(labels)) // samples
    return table_of(x, np.array(["common", "rare"])[labels], groups=groups)


def groups(features, rows, label):
    return set(features.groups[rows][features.labels[rows] == label])


def test_shots_of_a_draw_are_nested_and_test_everyone_else():
    features = table(samples=1)
    planned = few_shots.tasks(features, draws=5, shots=[2, 4], label=1, test=0.4, reserve=6)
    for small, large in zip(planned[2], planned[4]):
        assert len(groups(features, small.train, 1)) == 2 and len(groups(features, large.train, 1)) == 4
        assert groups(features, small.train, 1) < groups(features, large.train, 1)
        assert groups(features, small.train, 0) == groups(features, large.train, 0)
        np.testing.assert_array_equal(small.test, large.test)
        assert len(groups(features, large.reserve, 1)) == 6 and not len(groups(features, large.reserve, 0))
        everyone = np.concatenate([large.train, large.reserve, large.test])
        assert sorted(everyone) == list(range(len(features)))
        assert len(groups(features, small.test, 0)) == 12  # 0.4 of 30
        assert small.training_seed != large.training_seed
    tested = [frozenset(task.test) for task in planned[2]]
    assert len(set(tested)) == 5
    again = few_shots.tasks(features, draws=5, shots=[4], label=1, test=0.4, reserve=6)[4]
    assert [frozenset(task.test) for task in again] == tested
    assert [task.training_seed for task in again] == [task.training_seed for task in planned[4]]


@pytest.mark.parametrize("classes", [2, 3])
def test_no_group_is_divided(classes):
    patients = np.arange(180)
    features = table_of_arrays(
        np.zeros((180, 2)),
        patients // (180 // classes),
        classes=Classes.of("abc"[:classes]),
        patients=patients.astype(str),
        groups=(patients // 4 % 43).astype(str),  # some are of several classes
    )
    for task in few_shots.tasks(features, draws=3, shots=[2, 3], label=0, test=0.4, reserve=4)[3]:
        parts = [set(features.groups[rows]) for rows in (task.train, task.reserve, task.test)]
        assert sum(map(len, parts)) == len(set().union(*parts)) == len(set(features.groups))
        assert set(features.labels[task.train]) == set(range(classes))


def test_trained_patients_are_those_of_the_tasks():
    features = table()
    planned = few_shots.tasks(features, draws=2, shots=[2], label=1, test=0.4)
    for task in planned[2]:
        assert few_shots.trained(features, planned)[2][task.draw] == sorted(set(features.patients[task.train]))


@pytest.mark.parametrize(("known", "draws", "serve"), [(5, 12, 0), (8, 12, 8), (12, 16, 8), (16, 17, 16), (5, 5, 5)])
def test_draws_serve_where_their_whole_stretch_is_known(known, draws, serve):
    planned = few_shots.tasks(table(), draws=draws, shots=[2], label=1, test=0.4)[2]
    outcomes = {number: Outcome(None, {}) for number in range(known)}
    assert list(few_shots.serving(planned, outcomes)) == list(range(serve))
    assert list(few_shots.serving(planned, outcomes, together=1)) == list(range(known))


def test_ten_groups_are_left_to_test():
    features = table(samples=1)
    assert few_shots.reserved(features, shots=[3, 10], label=1, reserve=17) == 5  # 25 - 10 - 10
    assert len(groups(features, few_shots.tasks(features, draws=1, shots=[15], label=1, test=0.4)[15][0].test, 1)) == 10
    with pytest.raises(InputError, match="--shots=3,16: class rare has 25 groups .* take --shots up to 15"):
        few_shots.tasks(features, draws=1, shots=[3, 16], label=1, test=0.4)
    with pytest.raises(InputError, match="class rare has 11 groups .* too few for a study of few shots"):
        few_shots.tasks(table(rare=11, samples=1), draws=1, shots=[2], label=1, test=0.4)
    with pytest.raises(InputError, match="class common has 1 group of patients"):
        few_shots.tasks(table(common=1, samples=1), draws=1, shots=[2], label=1, test=0.4)


def test_strengths_are_fixed_where_there_are_too_few_to_choose_by():
    assert few_shots.strengths(["ridge", "mlp@3"], ["ridge@0.2", "mlp@7"], 3) == {"ridge": 0.2}
    assert few_shots.strengths(["ridge"], [], 5) == {}
    with pytest.raises(InputError, match="--fixed_strengths=mlp@7: with 3 groups .* ridge; add ridge@"):
        few_shots.strengths(["ridge"], ["mlp@7"], 3)


SETTINGS = competitors.Settings(
    ("none", "plain", "smote", "wgan"), (0.0,), classifiers=("ridge",), committed=True, measured=False
)


def test_real_samples_choose_the_strength_of_every_arm():
    features = table()
    (task,) = few_shots.tasks(features, draws=1, shots=[3], label=0, test=0.4)[3]
    settings = dataclasses.replace(SETTINGS, arms=("none", "plain", "smote"))
    tuned = trials.tune(Trial.of(features, task, settings), "ridge")
    (none,) = tuned[Pipeline("none", None)]
    (smote,) = tuned[Pipeline("smote", 0.0)]
    alone = dataclasses.replace(settings, arms=("none",), committed=False)
    (chosen,) = trials.tune(Trial.of(features, task, alone), "ridge")[Pipeline("none", None)]
    assert none.strength == smote.strength == chosen.strength
    assert none.loss == pytest.approx(chosen.loss)
    assert np.isfinite(smote.loss) and smote.loss != none.loss
    assert tuned[Pipeline("plain", None)][0].strength == CLASSIFIER_KINDS["ridge"].strengths[0]
    fixed = dataclasses.replace(settings, fixed={"ridge": 0.7})
    tuned = trials.tune(Trial.of(features, task, fixed), "ridge")
    assert tuned[Pipeline("none", None)][0].strength == tuned[Pipeline("smote", 0.0)][0].strength == 0.7
    assert tuned[Pipeline("plain", None)][0].strength == CLASSIFIER_KINDS["ridge"].strengths[0]


def test_networks_of_several_draws_are_those_of_each(monkeypatch):
    features = table()
    tasks = few_shots.tasks(features, draws=2, shots=[3], label=1, test=0.4)[3]
    together = trial_samples.fitted(features, tasks, SETTINGS)
    monkeypatch.setattr(trial_samples, "_fit", None)  # what is there is not fitted again
    for trial in together:
        assert {arm for arm, _ in trial.fits} == {"wgan"}
        assert len(trial.fits) == 1 + len(trial.inner)
    monkeypatch.undo()
    found = trials.run(features, tasks[1], SETTINGS, trial=together[1])
    alone = trials.run(features, tasks[1], SETTINGS)
    assert list(found.predictions.arm) == list(alone.predictions.arm)
    np.testing.assert_allclose(found.predictions.probabilities, alone.predictions.probabilities, atol=5e-3)
    assert found.choices["generators"] == {}


def test_inner_folds_may_span_unlike_numbers_of_components():
    random = np.random.default_rng(0)
    labels = np.repeat(["common", "rare"], [26, 20])
    features = table_of(random.normal(size=(46, 60)), labels)
    (task,) = few_shots.tasks(features, draws=1, shots=[3], label=1, test=0.4)[3]
    settings = dataclasses.replace(SETTINGS, arms=("none", "smote"), components=50)
    trial = Trial.of(features, task, settings)
    sizes = {part.preparation.size for part in trial.parts}
    assert len(sizes) == 3 and max(sizes) == len(task.train) - 1
    assert np.isfinite(trials.run(features, task, settings, trial=trial).predictions.probabilities).all()
