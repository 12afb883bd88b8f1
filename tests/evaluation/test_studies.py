import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import rembrandt_featgen
from rembrandt_featgen.classification import tuning
from rembrandt_featgen.classification.classifier_kinds import CLASSIFIER_KINDS
from rembrandt_featgen.classification.map_fitting import LinearSettings
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation import arms, competitors, contrasts, engine, few_shots, plans, study_report, trials
from rembrandt_featgen.evaluation.arms import ARMS, TrainingSamples
from rembrandt_featgen.evaluation.competitors import Pipeline
from rembrandt_featgen.evaluation.studies import evaluate, table_of
from rembrandt_featgen.evaluation.trial_samples import Trial
from rembrandt_featgen.features.covariates import with_inputs
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.network_method import NetworkMethod
from rembrandt_featgen.generation.sample_pool import SamplePool
from rembrandt_featgen.generation.training_set import Samples
from tests.generation import conformance


def cohort(classes=2, of_class=14, shift=3.0, seed=0):
    """Patients of two samples of five numbers, the first of which tells the class."""
    random = np.random.default_rng(seed)
    y = np.repeat(np.arange(classes), 2 * of_class)
    x = random.normal(size=(len(y), 5))
    x[:, 0] += shift * y
    x[random.random(x.shape) < 0.02] = np.nan
    return x, np.array(list("abc"))[y], np.repeat(np.arange(len(y) // 2), 2)


FEW = {
    "arms": ("none", "plain", "smote", "gaussian"),
    "classifiers": ("ridge",),
    "folds": 3,
    "trainings": 1,
    "bootstrap_draws": 100,
}


@pytest.mark.parametrize("classes", [2, 3])
def test_evaluate_finds_what_is_there(classes):
    x, y, patients = cohort(classes)
    study = evaluate(x, y, groups=patients, **FEW)
    assert list(study.arms["arm"]) == ["none", "plain", "smote", "gaussian"]
    assert (study.arms["auroc"] > 0.9).all()
    assert (study.arms["auroc_low"] <= study.arms["auroc"]).all()
    assert study.verdict_word == "undecided" and "with fewer than 5 trainings another seed" in study.verdict
    assert len(study.predictions.select(arm="none")) == len(y)
    assert len(study.predictions.select(arm="smote")) == 2 * len(y)  # each at two amounts
    assert study.predictions.classes == Classes.of("abc"[:classes])


def test_five_trainings_decide():
    x, y, patients = cohort(of_class=20, shift=1.5)
    few = {**FEW, "arms": ("none", "class_weights", "gaussian"), "trainings": 5, "margin": 0.15}
    study = evaluate(x, y, groups=patients, **few)
    assert study.verdict_word == "equivalent"
    assert study.verdict.startswith(
        "Equivalent: the pipelines that validation patients choose with and without generation differ by less than "
    )
    assert [one["question"] for one in study.report["contrasts"]] == ["best pipeline", "ridge"]
    assert study.predictions.select(arm="none").draw.max() == 4
    powers = [one["power"] for one in study.report["power_of_differences"] if one["difference"] == 0.1]
    assert powers == sorted(powers) and powers[0] < powers[3] < 1.0 + 1e-9
    errors = [one["power"] for one in study.report["power_of_differences"] if one["patients"] == 40]
    assert len(errors) == 3 and errors == sorted(errors)
    none, weights, gaussian = study.arms.itertuples()
    assert none.reference is None and weights.reference == gaussian.reference == "none"
    assert gaussian.difference == pytest.approx(gaussian.auroc - none.auroc)
    assert gaussian.difference_low < gaussian.difference < gaussian.difference_high


def test_every_arm_has_the_same_number_of_tries():
    x, y, patients = cohort()
    table = table_of(x, y, groups=patients)
    task = plans.k_fold(table, folds=3, repeats=1, seeds=[0], validation=0.3)[0]
    settings = competitors.Settings(("none", "plain", "smote"), (0.0, 1.0, 2.0), classifiers=("ridge",))
    tuned = trials.tune(Trial.of(table, task, settings), "ridge")
    tries = {}
    for one, attempts in tuned.items():
        tries[one.arm] = tries.get(one.arm, 0) + len(attempts)
    assert tries == {"none": 3, "plain": 1, "smote": 3}  # plain is what nobody tuned
    (first, second, third) = (attempt.strength for attempt in tuned[Pipeline("none", None)])
    grid = CLASSIFIER_KINDS["ridge"].strengths
    assert first in grid
    assert second in tuning.between(grid, 1 / 3) and third in tuning.between(grid, 2 / 3)
    chosen = trials.run(table, task, settings).choices["pipelines"]["ridge/none"]
    assert chosen["strength"] in (first, second, third)


def test_networks_of_maps_are_tuned_once_in_a_division(monkeypatch):
    random = np.random.default_rng(0)
    y = np.repeat(["a", "b"], 12)
    maps = np.abs(random.normal(size=(24, 4, 4, 2))) + 2.0 * (y == "b")[:, None, None, None]
    table = table_of(maps, y)
    parts = {"train": table.take(np.arange(24) % 3 > 0), "test": table.take(np.arange(24) % 3 == 0)}
    table, tasks = plans.given({**parts, "validation": table.take(np.zeros(0, int))}, [0, 1])
    settings = competitors.Settings(
        ("none",), (0.0,), classifiers=("linear",), inner_folds=2, networks={"linear": LinearSettings(epochs=2)}
    )
    alone = trials.run(table, tasks[1], settings)
    calls, tune = [], trials.tune
    monkeypatch.setattr(trials, "tune", lambda *args: calls.append(1) or tune(*args))
    remembered = {}
    found = [trials.run(table, task, settings, tuned=remembered) for task in tasks]
    assert len(calls) == 1
    assert found[1].choices == alone.choices  # remembered or not
    np.testing.assert_array_equal(found[1].predictions.probabilities, alone.predictions.probabilities)
    assert not np.array_equal(found[0].predictions.probabilities, alone.predictions.probabilities)


def test_a_strength_that_is_fixed_is_not_tuned():
    x, y, patients = cohort(of_class=16, shift=0.7)
    few = {**FEW, "arms": ("none", "smote"), "amounts": (0.0,), "classifiers": ("ridge@100", "ridge@1e-4", "ridge")}
    study = evaluate(x, y, groups=patients, **few)
    assert list(study.arms["classifier"]) == ["ridge@100", "ridge@100", "ridge@1e-4", "ridge@1e-4", "ridge", "ridge"]
    tuning_of = study.report["tuning"]
    assert tuning_of["ridge@100/none"] == {"100": 3} and tuning_of["ridge@1e-4/smote/0"] == {"0.0001": 3}
    strong, weak = (study.predictions.select(classifier=name, arm="none") for name in ("ridge@100", "ridge@1e-4"))
    assert np.ptp(strong.probabilities[:, 1]) < 0.5 * np.ptp(weak.probabilities[:, 1])
    for wrong in ("ridge@", "ridge@0", "ridge@nan", "ridge@x", "neighbours@1.5", "tree@3"):
        with pytest.raises(ValueError, match="write a strength above 0 behind|is unknown; give some of|is none of"):
            evaluate(x, y, **{**few, "classifiers": (wrong,)})


def test_real_patients_in_reserve_are_a_control():
    """A few of the minority class leave much to be gained; that is what 17 more are worth, and the plan keeps them."""
    random = np.random.default_rng(0)
    y = np.repeat([0, 1], [120, 60])
    x = random.normal(size=(180, 4)) + 1.0 * y[:, None]
    table = table_of(x, np.array(["a", "b"])[y])
    tasks = few_shots.tasks(table, draws=6, shots=[2], label=1, test=0.5, reserve=17)[2]
    settings = competitors.Settings(("none", "oracle"), (), classifiers=("ridge@0.01",))
    done = [trials.run(table, task, settings) for task in tasks]
    choices = done[0].choices["pipelines"]
    assert choices["ridge@0.01/none"]["samples"] == [60, 2] and choices["ridge@0.01/oracle"]["samples"] == [60, 19]
    gathered = engine.gather(done)
    assert set(gathered.select(arm="oracle").kind) == {"control"}
    rows, _ = study_report.arm_rows(gathered, draws=100, seed=0)
    none, oracle = (row for row in rows if row["unit"] == "patient")
    assert none["arm"] == "none" and oracle["difference"]["difference"] > 0.02
    assert oracle["difference"]["trainings"] == 6
    assert contrasts.contrasts(gathered, draws=50, seed=0) == []  # a control is no generator
    with pytest.raises(ValueError, match="none to compare generated features with"):
        competitors.check_arms(("oracle", "gaussian"))
    with pytest.raises(ValueError, match="arm oracle adds samples that the plan keeps for it, and there are none"):
        arms.problem(ARMS["oracle"], TrainingSamples(x, y, y), amount=None, num_classes=2, signed=True, seed=0)


def test_copies_and_shuffled_labels_are_controls_at_the_amounts_of_generators():
    x, y, patients = cohort(of_class=20)
    study = evaluate(x, y, groups=patients, **{**FEW, "arms": ("none", "copy", "shuffled", "gaussian")})
    kinds = {(arm, kind): len(part) for (arm, kind), part in study.predictions.split("arm", "kind")}
    assert kinds["copy", "control"] == kinds["shuffled", "control"] == kinds["gaussian", "generative"]
    for contrast in study.report["contrasts"]:
        assert not {"copy", "shuffled"} & set(str(contrast).replace("'", " ").split())


def test_labels_are_shuffled_over_patients():
    random = np.random.default_rng(0)
    groups, labels = np.repeat(np.arange(30), 3), np.repeat(np.arange(30) % 3 == 0, 3).astype(int)
    labels[0] = 0  # a patient with samples of both classes
    samples = TrainingSamples(random.normal(size=(90, 2)) + 8 * labels[:, None], labels, groups)
    settings = {"num_classes": 2, "signed": True, "seed": 0}
    real = arms.real_samples(ARMS["shuffled"], samples, **settings)
    pairs = {(group, label): set() for group, label in zip(groups, labels)}
    for group, label, given in zip(groups, labels, real.labels):
        pairs[group, label].add(int(given))
    assert all(len(given) == 1 for given in pairs.values())  # samples of a patient stay together
    assert sorted(given for one in pairs.values() for given in one) == sorted(label for _, label in pairs)
    assert 0 < np.mean(real.labels != labels) < 1
    np.testing.assert_array_equal(arms.real_samples(ARMS["gaussian"], samples, **settings).labels, labels)
    drawn = arms.extra_samples(ARMS["shuffled"], samples, {0: 200, 1: 200}, **settings)
    between = [drawn.features[drawn.labels == label].mean() for label in (0, 1)]
    assert abs(between[1] - between[0]) < 4  # of 8 that the classes are apart


@pytest.mark.parametrize("name", ["wgan", "smote"])
def test_methods_are_fitted_once_to_each_part_and_networks_to_all_together(name, monkeypatch):
    x, y, patients = cohort(of_class=20)
    table = table_of(np.nan_to_num(x), y, groups=patients)
    (task, *_) = plans.k_fold(table, folds=3, repeats=1, seeds=[0], validation=0.3)
    method, calls = conformance.QUICK[name], []
    monkeypatch.setitem(METHODS, name, method)
    fit_many = type(method).fit_many
    monkeypatch.setattr(type(method), "fit_many", lambda self, reals: calls.append(len(reals)) or fit_many(self, reals))
    settings = competitors.Settings((name,), (0.0, 1.0), classifiers=("ridge", "neighbours"))
    trial = Trial.of(table, task, settings)
    of_study = trials.run(table, task, settings)
    assert calls == ([4] if isinstance(method, NetworkMethod) else [1] * 4)  # the whole, and three inner folds
    # what one fit for all gives is what each would give by itself
    for part in (trial.outer, *trial.inner.values()):
        one = trial.problem(Pipeline(name, 1.0), part)
        alone = arms.problem(ARMS[name], part.samples, amount=1.0, num_classes=2, signed=True, seed=task.training_seed)
        np.testing.assert_allclose(one.features, alone.features, atol=1e-3)
    assert len(of_study.predictions) > 0


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
    with pytest.raises(ValueError, match="^arms: 'smoat' is unknown, is 'smote' meant"):
        evaluate(x, y, arms=("smoat",))
    with pytest.raises(ValueError, match="y has missing values"):
        evaluate(x, np.where(y == "a", np.nan, 1.0))
    with pytest.raises(ValueError, match="^arms: 'covariates' learns from clinical columns, which .* --covariates"):
        evaluate(x, y, arms=("none", "covariates"))
    with pytest.raises(ValueError, match="arms gaussian: none to compare generated features with; add 'none'"):
        evaluate(x, y, arms=("gaussian",))
    for amounts, words in (((), "give at least one"), ((-1.0,), "from 0 on"), ((0.0, 0), "amounts 0.0, 0: names one")):
        with pytest.raises(ValueError, match=words):
            evaluate(x, y, arms=("none", "smote"), amounts=amounts)
    with pytest.raises(ValueError, match="of the classes a, c"):
        evaluate(x, y, classes=("a", "c"))


def test_test_samples_change_nothing_that_was_learnt():
    x, y, patients = cohort()
    settings = competitors.Settings(("none", "smote"), (0.0,), classifiers=("ridge",))
    found = []
    for offset in (0.0, 100.0):
        table = table_of(x, y, groups=patients)
        task = plans.k_fold(table, folds=3, repeats=1, seeds=[0], validation=0.3)[0]
        table.values[task.test] += offset
        found.append(trials.run(table, task, settings).choices)
    assert found[0] == found[1]


def test_covariates_are_a_baseline_of_their_own():
    x, y, patients = cohort(shift=0.0, of_class=20)
    age = np.repeat(np.random.default_rng(3).normal(size=40), 2) + 3.0 * (y == "b")
    table = dataclasses.replace(
        table_of(x, y, groups=patients), covariates={"age": age, "sex": np.where(age > 1, "f", "")}
    )
    assert with_inputs(table, "covariates").names == ("covariate age", "covariate sex=f")
    assert with_inputs(table, "both").values.shape == (80, 7)
    settings = competitors.Settings(("none", "covariates", "features_and_covariates"), (), classifiers=("ridge",))
    tasks = plans.k_fold(table, folds=3, repeats=1, seeds=[0], validation=0.3)
    gathered = engine.gather([trials.run(table, task, settings) for task in tasks])
    auroc = {}
    for (arm,), rows in gathered.split("arm"):
        _, labels, p = rows.by_patient()
        auroc[arm] = roc_auc_score(labels, p[:, 1])
    assert auroc["covariates"] > 0.85 and auroc["features_and_covariates"] > 0.85 and auroc["none"] < 0.75


def test_what_knows_more_is_never_the_reference():
    x, y, patients = cohort(shift=0.0, of_class=20)
    table = dataclasses.replace(table_of(x, y, groups=patients), covariates={"age": 3.0 * (y == "b")})
    arms = ("none", "covariates", "features_and_covariates", "smote")
    settings = competitors.Settings(arms, (0.0,), classifiers=("ridge",))
    tasks = plans.k_fold(table, folds=3, repeats=1, seeds=[0], validation=0.3)
    gathered = engine.gather([trials.run(table, task, settings) for task in tasks])
    rows, references = study_report.arm_rows(gathered, draws=50, seed=0)
    assert references["ridge"] == "none"
    assert max(rows, key=lambda row: row["balanced_accuracy"])["arm"] == "covariates"


def test_families_widen_the_intervals():
    x, y, _ = cohort(of_class=20)
    patients = np.arange(len(y))
    width = {}
    for name, groups in (("patients", patients), ("families", patients // 8)):
        table = dataclasses.replace(table_of(np.nan_to_num(x), y, groups=patients), groups=groups.astype(str))
        shared = np.random.default_rng(1).normal(size=10)[patients // 8]  # of a family
        table.values[:, 0] = 0.7 * (y == "b") + 2.0 * shared
        task = plans.k_fold(table, folds=3, repeats=1, seeds=[0], validation=0.3)
        settings = competitors.Settings(("none", "smote"), (0.0,), classifiers=("ridge",))
        gathered = engine.gather([trials.run(table, one, settings) for one in task])
        rows, _ = study_report.arm_rows(gathered, draws=300, seed=0)
        low, high = rows[0]["ci95"]["balanced_accuracy"]
        width[name] = high - low
    assert width["families"] > 1.3 * width["patients"]


def test_classes_weighed_alike_move_no_probability():
    """What balances the classes has another prior in its training, which is taken out again."""
    x, y, patients = cohort(shift=0.0, of_class=40)
    rows = np.r_[0:80, 80:100]
    table = table_of(x[rows], y[rows], groups=patients[rows])
    task = plans.k_fold(table, folds=3, repeats=1, seeds=[0], validation=0.3)[0]
    settings = competitors.Settings(("none", "random_oversampling", "undersampling"), (0.0,), classifiers=("ridge",))
    for (arm,), part in trials.run(table, task, settings).predictions.split("arm"):
        assert 0.1 < part.probabilities[:, 1].mean() < 0.35, arm


def test_samples_made_elsewhere_are_an_arm():
    x, y, patients = cohort()
    table = table_of(x, y, groups=patients)
    task = plans.k_fold(table, folds=3, repeats=1, seeds=[0], validation=0.3)[0]
    found = {}
    for flipped in (False, True):  # with classes exchanged they must harm
        truth, labels = cohort(seed=5)[0], np.repeat([0, 1], 28)
        pool = SamplePool(np.nan_to_num(truth).astype(np.float32), 1 - labels if flipped else labels)
        settings = competitors.Settings(
            ("none", "synthetic"), (1.0,), classifiers=("ridge",), pools={"synthetic": pool}
        )
        rows = trials.run(table, task, settings).predictions.select(arm="synthetic")
        _, labels, p = rows.by_patient()
        found[flipped] = roc_auc_score(labels, p[:, 1])
    assert found[False] > 0.95 and found[True] < found[False] - 0.1


def test_a_pool_that_has_too_few_is_said_with_the_class_once(caplog, monkeypatch):
    monkeypatch.setattr(arms, "_WARNED", set())
    samples = TrainingSamples(np.zeros((16, 3), np.float32), np.repeat([0, 1], [12, 4]), np.arange(16))
    pool = SamplePool(np.ones((5, 3), np.float32), np.ones(5, int))
    settings = {"num_classes": 2, "signed": True, "seed": 0, "draw": pool.draw, "class_names": ("a", "b")}
    caplog.set_level("INFO", logger="absl")
    made = arms.problem(ARMS["synthetic"], samples, amount=0.0, **settings)
    assert np.bincount(made.labels).tolist() == [12, 9]
    arms.problem(ARMS["synthetic"], samples, amount=0.0, **settings)
    words = "arm synthetic: 8 samples of class b are wanted, and 5 are there: the arm adds these 5"
    assert [record.getMessage() for record in caplog.records] == [words]


def test_a_task_that_is_done_is_not_done_again(tmp_path):
    x, y, patients = cohort()
    table = table_of(x, y, groups=patients)
    tasks = plans.k_fold(table, folds=3, repeats=1, seeds=[0], validation=0.3)
    settings = competitors.Settings(("none",), (0.0,), classifiers=("ridge",))
    done = []

    def work(task):
        done.append(task.name)
        if len(done) == 3:
            raise KeyboardInterrupt
        return trials.run(table, task, settings)

    with pytest.raises(KeyboardInterrupt):
        engine.run(tasks, work, tmp_path)
    again = engine.gather(engine.run(tasks, work, tmp_path))
    assert done == [tasks[0].name, tasks[1].name, tasks[2].name, tasks[2].name]
    whole = engine.gather([trials.run(table, task, settings) for task in tasks])
    np.testing.assert_array_equal(again.probabilities, whole.probabilities)
    assert again.patient.tolist() == whole.patient.tolist()


@pytest.mark.parametrize("name", list(ARMS))
def test_arms_do_what_they_say(name, monkeypatch):
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [12, 4])
    samples = TrainingSamples(random.normal(size=(16, 3)).astype(np.float32), labels, np.arange(16))
    arm = ARMS[name]
    if arm.method:
        monkeypatch.setitem(METHODS, arm.adds, conformance.QUICK[arm.adds])
    amount = 0.0 if arm.takes_amount else None
    pool = SamplePool(np.full((20, 3), 7.0, np.float32), np.repeat([0, 1], 10))
    settings = {"num_classes": 2, "signed": True, "seed": 0, "draw": pool.draw}
    settings["reserve"] = Samples(np.full((2, 3), 5.0, np.float32), np.array([1, 1]))
    made = arms.problem(arm, samples, amount=amount, **settings)
    counts = np.bincount(made.labels).tolist()
    assert counts == ([12, 12] if arm.takes_amount else [4, 4] if arm.undersample else [12, 6 if arm.reserve else 4])
    assert arm.reserve == bool((made.features == 5.0).all(1).any())
    assert arm.pool == bool((made.features == 7.0).all(1).any())
    assert (made.weights is not None) == (name == "class_weights")
    if made.weights is not None:
        np.testing.assert_allclose([made.weights[:12].sum(), made.weights[12:].sum()], 8.0)
    with pytest.raises(ValueError, match="amount, received"):
        arms.problem(arm, samples, amount=None if arm.takes_amount else 0.0, **settings)
    if arm.pool:
        with pytest.raises(ValueError, match="samples that were made before, and there are none"):
            arms.problem(arm, samples, amount=amount, **{**settings, "draw": None})


def test_augmented_copies_of_judged_patients_are_not_drawn_in_inner_folds():
    x, y, patients = cohort()
    table = table_of(np.nan_to_num(x), y, groups=patients)
    (task, *_) = plans.k_fold(table, folds=3, repeats=1, seeds=[0], validation=0.3)
    marked = np.repeat(np.arange(len(table), dtype=np.float32)[:, None], table.shape[0], axis=1)
    pool = SamplePool(marked, table.labels, table.groups)
    settings = competitors.Settings(("image_augmentation",), (1.0,), ("ridge",), pools={"image_augmentation": pool})
    trial = Trial.of(table, task, settings)
    assert len(trial.inner) > 1
    for part in trial.inner.values():
        drawn = trial.draw("image_augmentation", part)(0, 999, 0)
        wanted = np.isin(table.groups, part.samples.groups) & (table.labels == 0)
        assert sorted(drawn[:, 0]) == pytest.approx(sorted(part.preparation.apply(marked[wanted])[:, 0]))


def test_maps_are_studied_from_python():
    random, y = np.random.default_rng(0), np.repeat(["a", "b"], [14, 10])
    maps = random.normal(size=(24, 3, 3, 2)) + 3.0 * (y == "b")[:, None, None, None] * np.array([1.0, 0.0])
    settings = {"arms": ("none", "gaussian"), "amounts": (0,), "folds": 2, "bootstrap_draws": 100}
    networks = {"linear": LinearSettings(epochs=60, batch=8, learning_rate=3e-2)}
    study = evaluate(maps, y, classifiers=("linear",), networks=networks, **settings)
    assert study.arms["auroc"].min() > 0.9
    with pytest.raises(ValueError, match="cnn and linear of maps"):
        evaluate(maps, y, **settings)


def test_a_class_with_fewer_than_two_of_ten_patients_is_reported():
    """Power is left out where a study of that size would have too few of a class; the study goes on."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 10 == 0
    features = random.normal(size=(60, 4)) + labels[:, None]
    report = evaluate(
        features, labels, arms=["none"], classifiers=["ridge"], folds=3, validation=0.3, bootstrap_draws=200
    ).report
    assert all(point["patients"] > 10 for point in report["power"])
