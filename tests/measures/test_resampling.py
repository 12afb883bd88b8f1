import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn import metrics

from rembrandt_featgen.measures import classification, resampling


def test_exact_interval_of_the_papers_patients():
    low, high = resampling.exact_interval(7, 11)  # PAPER.md: 0.31 to 0.89
    assert (round(low, 2), round(high, 2)) == (0.31, 0.89)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (3, 10)])
def test_exact_interval_agrees_with_beta_quantiles(right, n):
    low, high = resampling.exact_interval(right, n)
    assert low == pytest.approx(stats.beta.ppf(0.025, right, n - right + 1) if right else 0.0)
    assert high == pytest.approx(stats.beta.ppf(0.975, right + 1, n - right) if right < n else 1.0)


def test_exact_interval_of_nothing_is_undefined():
    assert np.isnan(resampling.exact_interval(0, 0)).all()


def one_by_one(patients, labels, measure, draws):
    """The bootstrap over patients as a loop: an independent way to the intervals of `bootstrap_arms`."""
    generator = np.random.default_rng(7)
    strata = [np.unique(patients[labels == label]) for label in np.unique(labels)]
    rows = {patient: np.flatnonzero(patients == patient) for patient in np.unique(patients)}
    found = []
    for _ in range(draws):
        drawn = np.concatenate([generator.choice(stratum, len(stratum)) for stratum in strata])
        found.append(measure(np.concatenate([rows[patient] for patient in drawn])))
    return {name: np.percentile([one[name] for one in found], [2.5, 97.5]) for name in found[0]}


# --- arms: predictions in several runs ---


def cohort(generator, patients=40, runs=3, effect=0.5, noise=0.5):
    """Labels, and an arm whose true balanced accuracy is Phi(effect / sqrt(1 + noise^2)); its runs are correlated."""
    labels = np.arange(patients) % 2
    difficulty = generator.normal(size=patients)
    odds = effect * (2 * labels - 1) + difficulty + noise * generator.normal(size=(runs, patients))
    return labels, resampling.Arm(special.expit(odds))


def balanced_accuracy(labels, arm):
    """Mean over runs, by scikit-learn."""
    thresholds = np.broadcast_to(arm.threshold, arm.probabilities.shape)
    return np.mean([metrics.balanced_accuracy_score(labels, p > t) for p, t in zip(arm.probabilities, thresholds)])


def with_thresholds(arm, seed=0):
    return arm._replace(threshold=np.random.default_rng(seed).uniform(0.3, 0.7, arm.probabilities.shape))


def test_values_of_arms_are_means_over_runs():
    labels, arm = cohort(np.random.default_rng(0))
    arm = with_thresholds(arm)
    other = resampling.Arm(arm.probabilities[:2] ** 2)
    found = resampling.bootstrap_arms(labels, {"a": arm, "b": other}, "a", draws=10)
    assert set(found.arms["a"]) == set(classification.MEASURES)
    assert found.arms["a"]["balanced_accuracy"].value == pytest.approx(balanced_accuracy(labels, arm))
    auroc = np.mean([metrics.roc_auc_score(labels, p) for p in arm.probabilities])
    assert found.arms["a"]["auroc"].value == pytest.approx(auroc)
    difference = balanced_accuracy(labels, other) - balanced_accuracy(labels, arm)
    assert list(found.differences) == ["b"]
    assert found.differences["b"]["balanced_accuracy"].value == pytest.approx(difference)


def test_intervals_of_arms_agree_with_the_bootstrap_one_by_one():
    generator = np.random.default_rng(1)
    labels, first = cohort(generator)
    second = with_thresholds(resampling.Arm(np.clip(first.probabilities + generator.normal(0, 0.2, (3, 40)), 0, 1)))

    def measure(rows):
        accuracy = [
            np.mean([classification.measures(labels[rows], p[rows], t[rows])["balanced_accuracy"] for p, t in zip(*x)])
            for x in (np.broadcast_arrays(*first), second)
        ]
        auroc = np.mean([classification.measures(labels[rows], p[rows])["auroc"] for p in second.probabilities])
        return {"gain": accuracy[1] - accuracy[0], "balanced_accuracy": accuracy[1], "auroc": auroc}

    wanted = one_by_one(np.arange(40), labels, measure, 1500)
    found = resampling.bootstrap_arms(labels, {"first": first, "second": second}, "first", draws=4000)
    own = found.arms["second"]
    for name, estimate in {**own, "gain": found.differences["second"]["balanced_accuracy"]}.items():
        if name in wanted:
            assert estimate[1:] == pytest.approx(wanted[name], abs=0.015), name


def test_the_same_predictions_differ_by_nothing_and_repeating_runs_tells_nothing():
    labels, arm = cohort(np.random.default_rng(2))
    again = resampling.Arm(np.tile(arm.probabilities, (3, 1)))
    found = resampling.bootstrap_arms(labels, {"arm": arm, "again": again}, "arm", draws=200)
    for name in classification.MEASURES:
        assert found.differences["again"][name] == pytest.approx((0, 0, 0), abs=1e-12)
        assert found.arms["again"][name] == pytest.approx(found.arms["arm"][name])


def test_a_grade_of_one_patient_gives_values_without_intervals():
    found = resampling.bootstrap_arms(np.array([1, 0, 0]), {"a": resampling.Arm(np.array([[0.9, 0.1, 0.6]]))}, draws=9)
    value, low, high = found.arms["a"]["balanced_accuracy"]
    assert value == 0.75
    assert np.isnan([low, high]).all()
    assert found.differences == {}


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
            name: resampling.Arm(
                special.expit(effect * (2 * labels - 1) + difficulty + 0.5 * generator.normal(size=(3, 60)))
            )
            for name, effect in zip("ab", effects)
        }
        found = resampling.bootstrap_arms(labels, arms, "a", draws=300, seed=int(generator.integers(1 << 30)))
        for i, (estimate, wanted) in enumerate(
            [
                (found.arms["a"]["balanced_accuracy"], truth[0]),
                (found.arms["a"]["auroc"], auroc),
                (found.differences["b"]["balanced_accuracy"], truth[1] - truth[0]),
            ]
        ):
            covered[i] += estimate.low <= wanted <= estimate.high
    # The standard error of a share of 250 about 0.95 is 0.014.
    assert ((covered / simulations > 0.90) & (covered / simulations < 0.99)).all(), covered / simulations


# --- permutation tests ---


def test_exact_permutation_agrees_with_scipy():
    generator = np.random.default_rng(4)
    labels, before = cohort(generator, patients=9)
    before, after = with_thresholds(before, 1), with_thresholds(cohort(generator, patients=9, effect=2.0)[1], 2)

    def difference(first, second):  # of indices into both arms' columns
        columns = [np.hstack(pair) for pair in zip(before, after)]
        arms = [resampling.Arm(*(x[:, rows] for x in columns)) for rows in (first, second)]
        return balanced_accuracy(labels, arms[1]) - balanced_accuracy(labels, arms[0])

    # 'samples' swaps within pairs; 2^9 swaps are all enumerated
    wanted = stats.permutation_test(
        (np.arange(9), np.arange(9, 18)), difference, permutation_type="samples", n_resamples=np.inf, vectorized=False
    )
    found = resampling.paired_permutation(labels, before, after)
    assert found.difference == pytest.approx(wanted.statistic)
    assert 0.05 < wanted.pvalue < 0.95
    assert found.p_value == pytest.approx(wanted.pvalue)


@pytest.mark.parametrize("n", [2, 7, 12])
def test_exact_sign_flip_agrees_with_scipy(n):
    parts = np.random.default_rng(n).integers(-2, 5, n) / 3.0  # ties, and zeros
    wanted = stats.permutation_test(
        (parts,), lambda x, axis: x.sum(axis), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert resampling.sign_flip(parts) == pytest.approx(wanted)


def test_random_sign_flip_comes_near_the_exact_one():
    parts = np.random.default_rng(5).normal(0.25, 1, 15)
    signs = 2 * (np.arange(2**15)[:, None] >> np.arange(15) & 1) - 1
    wanted = np.mean(np.abs(signs @ parts) >= abs(parts.sum()) - 1e-12)
    assert 0.01 < wanted < 0.5
    assert resampling.sign_flip(parts) == pytest.approx(wanted, abs=0.015)
    assert resampling.sign_flip(parts) == resampling.sign_flip(parts, seed=0) != resampling.sign_flip(parts, seed=1)


def test_a_p_value_is_never_zero():
    assert resampling.sign_flip(np.ones(200), permutations=99) == 1 / 100
    assert resampling.sign_flip(np.ones(12)) == 2 / 2**12
    assert resampling.sign_flip(np.zeros(5)) == 1.0


def test_permutation_test_keeps_its_level_and_has_power():
    generator = np.random.default_rng(6)
    p = {effect: [] for effect in (0.5, 1.5)}
    for _ in range(300):
        labels, before = cohort(generator)
        for effect, found in p.items():
            after = cohort(generator, effect=effect)[1]
            found.append(resampling.paired_permutation(labels, before, after, permutations=199).p_value)
    assert np.mean(np.array(p[0.5]) <= 0.05) < 0.05 + 3 * 0.0126  # standard error of 300 tests
    assert np.mean(np.array(p[1.5]) <= 0.05) > 0.5


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_neither_order_nor_names_matter(seed):
    generator = np.random.default_rng(seed)
    labels, before = cohort(generator, patients=10, runs=2)
    after = cohort(generator, patients=10, runs=2)[1]
    found = resampling.paired_permutation(labels, before, after)
    order = generator.permutation(10)
    shuffled = [resampling.Arm(arm.probabilities[:, order]) for arm in (before, after)]
    assert resampling.paired_permutation(labels[order], *shuffled) == pytest.approx(found)
    assert resampling.paired_permutation(labels, after, before) == pytest.approx((-found.difference, found.p_value))
    swapped = [resampling.Arm(1 - arm.probabilities) for arm in (before, after)]
    assert resampling.paired_permutation(1 - labels, *swapped) == pytest.approx(found)


def test_one_grade_alone_has_no_test():
    arm = resampling.Arm(np.array([[0.2, 0.7]]))
    assert np.isnan(resampling.paired_permutation(np.array([1, 1]), arm, arm)).all()


@pytest.mark.parametrize(
    ("p", "wanted"),
    [
        # sorted 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1 raised to 0.06
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
        ([0.01, np.nan, 0.04], [0.02, np.nan, 0.04]),
        ([], []),
    ],
)
def test_holm(p, wanted):
    np.testing.assert_allclose(resampling.holm(p), wanted)


# --- power ---


def test_power_grows_with_patients_and_is_the_level_for_an_answer_that_knows_nothing():
    labels, arm = cohort(np.random.default_rng(7), patients=200, effect=0.5)
    found = [resampling.power(labels, arm, n, 400, 400) for n in (10, 40, 160)]
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.95
    coin = resampling.Arm(np.tile([0.9, 0.9, 0.1, 0.1], 50)[None])  # right in half of each grade
    assert resampling.power(labels, coin, 60, 1000, 400) < 0.025 + 3 * 0.005
    assert resampling.power(labels, resampling.Arm(np.ones((1, 200))), 60, 50, 50) == 0.0  # always HGG


def test_power_is_the_share_of_cohorts_whose_interval_is_above_chance():
    generator = np.random.default_rng(8)
    labels, arm = cohort(generator, patients=60, effect=0.45)
    hgg, lgg = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    detected = 0
    for seed in range(300):
        rows = np.concatenate([generator.choice(hgg, 15), generator.choice(lgg, 15)])
        drawn = {"arm": resampling.Arm(arm.probabilities[:, rows])}
        detected += (
            resampling.bootstrap_arms(labels[rows], drawn, None, 200, seed).arms["arm"]["balanced_accuracy"][1] > 0.5
        )
    assert 0.2 < detected / 300 < 0.9
    assert resampling.power(labels, arm, 30) == pytest.approx(detected / 300, abs=3 * 0.03)


# --- what does not fit ---


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        (resampling.Arm(np.full(4, 0.5)), r"shape \(4,\); with 4 labels give \[runs, 4\]"),
        (resampling.Arm(np.full((2, 3), 0.5)), r"shape \(2, 3\); with 4 labels"),
        (resampling.Arm(np.full((0, 4), 0.5)), r"shape \(0, 4\)"),
        (resampling.Arm(np.full((4, 4), 0.5), np.full(4, 0.5)), r"threshold of a has shape \(4,\)"),
        (resampling.Arm(np.full((1, 4), np.nan)), "every run must predict every patient once"),
        (resampling.Arm(np.full((1, 4), 0.5), np.nan), "every run must predict every patient once"),
    ],
)
def test_arms_that_do_not_fit_are_refused(arm, words):
    with pytest.raises(ValueError, match=words):
        resampling.bootstrap_arms(np.array([0, 0, 1, 1]), {"a": arm})


def test_other_misuse_is_refused():
    labels, arm = cohort(np.random.default_rng(0), patients=8)
    with pytest.raises(ValueError, match="reference 'b' is not among the arms a"):
        resampling.bootstrap_arms(labels, {"a": arm}, "b")
    with pytest.raises(ValueError, match="3 runs before, 2 after"):
        resampling.paired_permutation(labels, arm, resampling.Arm(arm.probabilities[:2]))
    with pytest.raises(ValueError, match="3 patients in the proportions given are 2 HGG and 1 LGG"):
        resampling.power(labels, arm, 3)


def test_intervals_over_slices_draw_whole_patients():
    """Slices of a patient come along together: held against the loop, and against repeating every patient's slice."""
    generator = np.random.default_rng(2)
    sizes = generator.integers(2, 6, 24)
    patients = np.repeat(np.arange(24), sizes)
    labels = patients % 2
    probabilities = special.expit(
        generator.normal(0.8 * (2 * labels - 1) + np.repeat(generator.normal(size=24), sizes))
    )
    arm = resampling.Arm(probabilities[None])

    def measure(rows):
        return classification.measures(labels[rows], probabilities[rows])

    wanted = one_by_one(patients, labels, measure, 1500)
    found = resampling.bootstrap_arms(labels, {"a": arm}, draws=4000, patients=patients).arms["a"]
    for name in ("balanced_accuracy", "auroc", "accuracy_total", "brier"):
        assert found[name][1:] == pytest.approx(wanted[name], abs=0.02), name
        assert found[name].value == pytest.approx(measure(np.arange(len(labels)))[name])
    one = resampling.bootstrap_arms(
        labels[:1].repeat(24) + np.arange(24) % 2, {"a": resampling.Arm(np.linspace(0, 1, 24)[None])}
    )
    many = resampling.bootstrap_arms(
        np.repeat(np.arange(24) % 2, 9),
        {"a": resampling.Arm(np.repeat(np.linspace(0, 1, 24), 9)[None])},
        patients=np.repeat(np.arange(24), 9),
    )
    assert many.arms["a"]["auroc"] == pytest.approx(one.arms["a"]["auroc"])


def test_one_patient_of_a_grade_gives_no_interval_over_slices():
    arm = resampling.Arm(np.array([[0.2, 0.3, 0.9]]))
    found = resampling.bootstrap_arms(np.array([0, 0, 1]), {"a": arm}, patients=np.array(["a", "a", "b"]))
    assert np.isnan(found.arms["a"]["balanced_accuracy"][1:]).all()
    assert found.arms["a"]["balanced_accuracy"].value == 1.0
