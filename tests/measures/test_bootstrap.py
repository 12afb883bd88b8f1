import tracemalloc

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics

from rembrandt_featgen.measures import bootstrap, classification, decisions
from rembrandt_featgen.measures.out_of_fold import OutOfFold
from tests.measures.cohorts import balanced_accuracy, cohort, of_positive, with_thresholds


def test_exact_interval_of_the_papers_patients():
    low, high = bootstrap.exact_interval(7, 11)  # PAPER.md: 0.31 to 0.89
    assert (round(low, 2), round(high, 2)) == (0.31, 0.89)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (3, 10)])
def test_exact_interval_agrees_with_beta_quantiles(right, n):
    low, high = bootstrap.exact_interval(right, n)
    assert low == pytest.approx(stats.beta.ppf(0.025, right, n - right + 1) if right else 0.0)
    assert high == pytest.approx(stats.beta.ppf(0.975, right + 1, n - right) if right < n else 1.0)


def test_exact_interval_of_nothing_is_undefined():
    assert np.isnan(bootstrap.exact_interval(0, 0)).all()


def one_by_one(patients, labels, measure, *, draws):
    """The bootstrap over patients as a loop: an independent way to the intervals of `bootstrap_arms`."""
    generator = np.random.default_rng(7)
    strata = [np.unique(patients[labels == label]) for label in np.unique(labels)]
    rows = {patient: np.flatnonzero(patients == patient) for patient in np.unique(patients)}
    found = []
    for _ in range(draws):
        drawn = np.concatenate([generator.choice(stratum, len(stratum)) for stratum in strata])
        found.append(measure(np.concatenate([rows[patient] for patient in drawn])))
    return {name: np.percentile([one[name] for one in found], [2.5, 97.5]) for name in found[0]}


def test_values_of_arms_are_means_over_runs():
    labels, arm = cohort(np.random.default_rng(0))
    arm = with_thresholds(arm)
    other = of_positive(arm.probabilities[:2, :, 1] ** 2)
    found = bootstrap.bootstrap_arms(labels, {"a": arm, "b": other}, draws=10)
    assert set(found["a"]) == set(classification.MEASURES)
    assert found["a"]["balanced_accuracy"].value == pytest.approx(balanced_accuracy(labels, arm))
    auroc = np.mean([metrics.roc_auc_score(labels, p) for p in arm.probabilities[..., 1]])
    assert found["a"]["auroc"].value == pytest.approx(auroc)
    assert found["b"]["balanced_accuracy"].value == pytest.approx(balanced_accuracy(labels, other))


def test_intervals_of_arms_agree_with_the_bootstrap_one_by_one():
    generator = np.random.default_rng(1)
    labels, first = cohort(generator)
    second = with_thresholds(
        of_positive(np.clip(first.probabilities[..., 1] + generator.normal(0, 0.2, (3, 40)), 0, 1))
    )

    def measure(rows):
        accuracy = [
            np.mean(
                [classification.measures(labels[rows], p[rows], t[rows])["balanced_accuracy"] for p, t in zip(*x[:2])]
            )
            for x in (first.checked(40, "first"), second)
        ]
        auroc = np.mean([classification.measures(labels[rows], p[rows])["auroc"] for p in second.probabilities])
        return {"gain": accuracy[1] - accuracy[0], "balanced_accuracy": accuracy[1], "auroc": auroc}

    wanted = one_by_one(np.arange(40), labels, measure, draws=1500)
    values = bootstrap.resample(labels, {"first": first, "second": second}, draws=4000)
    values["second"]["gain"] = values["second"]["balanced_accuracy"] - values["first"]["balanced_accuracy"]
    for name, interval in wanted.items():
        found = np.percentile(values["second"][name][1:].mean(axis=1), [2.5, 97.5])
        assert found == pytest.approx(interval, abs=0.015), name


def test_the_same_predictions_differ_by_nothing_and_repeating_runs_tells_nothing():
    labels, arm = cohort(np.random.default_rng(2))
    again = OutOfFold(np.tile(arm.probabilities, (3, 1, 1)))
    values = bootstrap.resample(labels, {"arm": arm, "again": again}, draws=200)
    found = bootstrap.bootstrap_arms(labels, {"arm": arm}, draws=200)["arm"]
    repeated = bootstrap.bootstrap_arms(
        labels, {"again": again}, draws=200, trainings=np.tile(np.arange(len(arm.probabilities)), 3)
    )["again"]
    for name in classification.MEASURES:
        gaps = values["again"][name].mean(axis=1) - values["arm"][name].mean(axis=1)
        assert gaps == pytest.approx(0, abs=1e-12)
        assert repeated[name] == pytest.approx(found[name])


def test_the_spread_is_that_of_new_patients_and_new_trainings():
    """Effects of patients, trainings and both, simulated: the estimated variance is that of means of new cohorts."""
    generator = np.random.default_rng(8)
    means, patients, trainings = [], [], []
    for _ in range(400):
        n, runs = 40, 5
        effects = (
            generator.normal(0, 0.5, (1, runs)) + generator.normal(0, 2, (n, 1)) + generator.normal(0, 3, (n, runs))
        )
        drawn = np.concatenate([np.ones((1, n)), bootstrap.multiplicities(generator, n, 300)])
        spread = bootstrap.spread(drawn @ effects / n)
        means.append(effects.mean())
        patients.append(spread.patients)
        trainings.append(spread.trainings)
    assert np.mean(patients) + np.mean(trainings) == pytest.approx(np.var(means), rel=0.25)
    assert np.mean(patients) == pytest.approx((4 + 9 / 5) / 40, rel=0.1)
    assert np.mean(trainings) == pytest.approx(0.25 / 5, rel=0.5)  # that below 0 counts as 0
    alone = bootstrap.spread(np.array([[0.0], [1.0], [3.0]]))
    assert alone == (2.0, 0.0, 0.0)


def test_runs_of_one_training_count_as_one():
    values = np.arange(12.0).reshape(3, 4)
    found = bootstrap.of_trainings(values, [0, 1, 0, 1])
    assert found.tolist() == [[1, 2], [5, 6], [9, 10]]
    assert bootstrap.of_trainings(values) is values


def test_a_class_of_one_patient_gives_values_without_intervals():
    found = bootstrap.bootstrap_arms(np.array([1, 0, 0]), {"a": of_positive([[0.9, 0.1, 0.6]])}, draws=9)
    value, low, high = found["a"]["balanced_accuracy"]
    assert value == 0.75
    assert np.isnan([low, high]).all()


def test_intervals_over_patients_cover_the_truth():
    generator = np.random.default_rng(3)
    effects, simulations = (0.4, 0.9), 250
    truth = [stats.norm.cdf(effect / np.sqrt(1.25)) for effect in effects]
    auroc = stats.norm.cdf(2 * effects[0] / np.sqrt(2 * 1.25))
    covered = np.zeros(3)
    for _ in range(simulations):
        labels = np.arange(60) % 2
        difficulty = generator.normal(size=60)  # shared: the arms are paired
        arms = {
            name: of_positive(
                special.expit(effect * (2 * labels - 1) + difficulty + 0.5 * generator.normal(size=(3, 60)))
            )
            for name, effect in zip("ab", effects)
        }
        values = bootstrap.resample(labels, arms, draws=300, seed=int(generator.integers(1 << 30)))
        values["a"]["gain"] = values["b"]["balanced_accuracy"] - values["a"]["balanced_accuracy"]
        found = bootstrap.estimates(values["a"], [30, 30])
        for i, (estimate, wanted) in enumerate(
            [
                (found["balanced_accuracy"], truth[0]),
                (found["auroc"], auroc),
                (found["gain"], truth[1] - truth[0]),
            ]
        ):
            covered[i] += estimate.low <= wanted <= estimate.high
    # The standard error of a share of 250 about 0.95 is 0.014.
    assert ((covered / simulations > 0.90) & (covered / simulations < 0.99)).all(), covered / simulations


def test_intervals_over_slices_draw_whole_patients():
    """Slices of a patient come along together: held against the loop, and against repeating every patient's slice."""
    generator = np.random.default_rng(2)
    sizes = generator.integers(2, 6, 24)
    patients = np.repeat(np.arange(24), sizes)
    labels = patients % 2
    probabilities = decisions.two_columns(
        special.expit(generator.normal(0.8 * (2 * labels - 1) + np.repeat(generator.normal(size=24), sizes)))
    )
    arm = OutOfFold(probabilities[None])

    def measure(rows):
        return classification.measures(labels[rows], probabilities[rows])

    wanted = one_by_one(patients, labels, measure, draws=1500)
    found = bootstrap.bootstrap_arms(labels, {"a": arm}, draws=4000, patients=patients)["a"]
    for name in ("balanced_accuracy", "auroc", "accuracy", "brier"):
        assert found[name][1:] == pytest.approx(wanted[name], abs=0.02), name
        assert found[name].value == pytest.approx(measure(np.arange(len(labels)))[name])
    one = bootstrap.bootstrap_arms(
        labels[:1].repeat(24) + np.arange(24) % 2, {"a": of_positive(np.linspace(0, 1, 24)[None])}
    )
    many = bootstrap.bootstrap_arms(
        np.repeat(np.arange(24) % 2, 9),
        {"a": of_positive(np.repeat(np.linspace(0, 1, 24), 9)[None])},
        patients=np.repeat(np.arange(24), 9),
    )
    assert many["a"]["auroc"] == pytest.approx(one["a"]["auroc"])


def test_one_patient_of_a_class_gives_no_interval_over_slices():
    arm = of_positive([[0.2, 0.3, 0.9]])
    found = bootstrap.bootstrap_arms(np.array([0, 0, 1]), {"a": arm}, patients=np.array(["a", "a", "b"]))
    assert np.isnan(found["a"]["balanced_accuracy"][1:]).all()
    assert found["a"]["balanced_accuracy"].value == 1.0


def test_three_classes_have_intervals_of_every_measure():
    generator = np.random.default_rng(4)
    labels = np.arange(60) % 3
    p = generator.dirichlet(np.ones(3), (2, 60)) + 0.3 * np.eye(3)[labels]
    arm = OutOfFold(p / p.sum(axis=-1, keepdims=True))
    found = bootstrap.bootstrap_arms(labels, {"a": arm, "b": arm._replace(probabilities=p[:, ::-1] / 1.3)}, draws=200)
    assert set(found["a"]) == set(found["b"]) == set(classification.names(3))
    auroc = np.mean([metrics.roc_auc_score(labels, run, multi_class="ovr") for run in arm.probabilities])
    assert found["a"]["auroc"].value == pytest.approx(auroc)
    assert all(one.low < one.value < one.high for one in found["a"].values())


def test_blocks_change_nothing(monkeypatch):
    labels, arm = cohort(np.random.default_rng(5))
    wanted = bootstrap.bootstrap_arms(labels, {"a": arm}, draws=50, patients=np.arange(40) // 2 * 2 + labels)
    monkeypatch.setattr(bootstrap, "_BLOCK", 7 * 40)
    found = bootstrap.bootstrap_arms(labels, {"a": arm}, draws=50, patients=np.arange(40) // 2 * 2 + labels)
    for name, estimate in found["a"].items():
        assert estimate == pytest.approx(wanted["a"][name], rel=1e-12), name


def test_ten_thousand_slices_need_little_memory():
    generator = np.random.default_rng(6)
    patients = np.repeat(np.arange(100), 100)
    arm = of_positive(generator.random((1, 10_000)))
    tracemalloc.start()
    try:
        bootstrap.bootstrap_arms(patients % 2, {"a": arm}, draws=200, patients=patients)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60e6, peak  # at once, the counts alone of 200 draws would be 16 MB and the measures 10 times that


def test_a_difference_may_be_below_0():
    values = np.array([[-0.1], [-0.15], [-0.05], [-0.2], [0.0]])
    found = bootstrap.estimates({"gap": values, "auroc": 0.05 + values}, [5, 5])
    assert found["gap"].low < -0.1 < found["gap"].high
    assert found["auroc"].low == 0.0  # a measure keeps to its range


def test_new_training_patients_inflate_the_variance_of_a_run():
    values = np.random.default_rng(0).normal(0, 1, (2001, 4))
    found = bootstrap.spread(values, 1.5)
    assert found.patients == pytest.approx(1.5, rel=0.1) and found.trainings == 0.0
    assert bootstrap.spread(values).patients == pytest.approx(0.25, rel=0.1)


def test_auroc_of_folds_is_over_pairs_of_a_fold():
    generator = np.random.default_rng(0)
    labels, folds = np.arange(40) % 2, np.repeat([0, 1, 2, 3], 10)
    p = generator.random((1, 40))
    arm = OutOfFold(decisions.two_columns(p), folds=folds[None])
    found = bootstrap.resample(labels, {"a": arm}, draws=50)["a"]["auroc"]
    wanted = np.mean([metrics.roc_auc_score(labels[folds == fold], p[0, folds == fold]) for fold in range(4)])
    assert found[0, 0] == pytest.approx(wanted)  # five pairs of five in each
    shifted = OutOfFold(decisions.two_columns((p + folds) / 5), folds=folds[None])  # offsets of models
    np.testing.assert_allclose(bootstrap.resample(labels, {"a": shifted}, draws=50)["a"]["auroc"], found)
    pooled = bootstrap.resample(labels, {"a": arm._replace(folds=None)}, draws=50)["a"]["auroc"]
    assert pooled[0, 0] == pytest.approx(metrics.roc_auc_score(labels, p[0]))


def test_a_group_of_several_classes_is_drawn_among_those_of_the_rarest():
    groups = np.array(["a", "a", "b", "c", "d", "e"])
    labels = np.array([0, 1, 1, 0, 0, 0])  # class 1 has two groups, one of which begins with class 0
    arm = of_positive(np.array([[0.2, 0.7, 0.6, 0.3, 0.1, 0.4]]))
    found = bootstrap.bootstrap_arms(labels, {"": arm}, draws=50, patients=groups)[""]["auroc"]
    assert (found.value, np.isfinite(found.interval).all()) == (1.0, True)
    drawn = bootstrap.resample(labels, {"": arm}, draws=200, patients=groups)[""]["auroc"]
    assert np.isfinite(drawn).all()  # never a resample without class 1


@pytest.mark.parametrize("off", [0.0, 0.02])
def test_the_interval_of_ece_holds_its_value(off):
    """In each of three bins as many of 30 are positive as their probability says, so that any resample is worse."""
    labels = np.concatenate([np.arange(30) < 30 * share for share in (0.2, 0.5, 0.8)]).astype(int)
    arm = of_positive(np.repeat([[0.2 + off, 0.5 + off, 0.8 + off]], 30, axis=1))
    drawn = bootstrap.resample(labels, {"a": arm}, draws=300)["a"]["ece"]
    low, middle, high = np.percentile(drawn[1:], [2.5, 50, 97.5])
    found = bootstrap.bootstrap_arms(labels, {"a": arm}, draws=300)["a"]["ece"]
    assert found.value == pytest.approx(off) and found.low <= found.value < found.high
    assert low < middle and off < middle  # resampling adds to it
    assert found.high == pytest.approx(off + high - middle) and found.low == pytest.approx(max(0, off + low - middle))
