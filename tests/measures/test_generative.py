import numpy as np
import prdc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, stats
from sklearn.metrics.pairwise import euclidean_distances, polynomial_kernel

from rembrandt_featgen.measures import generative


@pytest.fixture(params=[1024, 7], ids=["one block", "many blocks"])
def block(request, monkeypatch):
    monkeypatch.setattr(generative, "_BLOCK", request.param)


def two_sets(n=40, m=30, d=12, shift=0.3):
    generator = np.random.default_rng(0)
    return generator.normal(size=(n, d)), 1.3 * generator.normal(size=(m, d)) + shift


# --- kernel distance ---


def test_kernel_distance_agrees_with_scikit_learns_kernel(block):
    real, synthetic = two_sets()
    within = [
        polynomial_kernel(x, degree=3, coef0=1)[~np.eye(len(x), dtype=bool)].mean()  # gamma is 1 / d by default
        for x in (real, synthetic)
    ]
    wanted = sum(within) - 2 * polynomial_kernel(real, synthetic, degree=3, coef0=1).mean()
    assert generative.kernel_distance(real, synthetic) == pytest.approx(wanted)


def test_kernel_distance_by_hand():
    # d = 1, kernel (xy + 1)^3: within 1 and 1 (0 x 1), 8 (1 x 1); across mean of 1, 1, 8, 8
    assert generative.kernel_distance(np.array([[0.0], [1.0]]), np.array([[1.0], [1.0]])) == pytest.approx(1 + 8 - 9.0)


def test_kernel_distance_of_one_distribution_has_no_bias():
    generator = np.random.default_rng(1)
    found = [generative.kernel_distance(*generator.normal(size=(2, 15, 4))) for _ in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found) / 20
    assert min(found) < 0


# --- Frechet distance ---


def gaussian(n, mean, covariance, seed=0):
    """Samples whose own mean and covariance are exactly those."""
    x = np.random.default_rng(seed).normal(size=(n, len(mean)))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return x @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_axis_parallel_gaussians():
    first = gaussian(50, np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    second = gaussian(70, np.array([1.0, 0.0, -2.0]), np.diag([4.0, 4.0, 1.0]), 1)
    # |shift|^2 + sum of (sigma1 - sigma2)^2
    assert generative.frechet_distance(first, second) == pytest.approx(5.0 + 1 + 0 + 4)


def test_frechet_distance_of_turned_gaussians_agrees_with_the_matrix_root():
    generator = np.random.default_rng(2)
    a, b = (x @ x.T + np.eye(5) for x in generator.normal(size=(2, 5, 5)))
    mean = np.arange(5.0)
    wanted = mean @ mean + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert generative.frechet_distance(gaussian(30, 0 * mean, a), gaussian(40, mean, b)) == pytest.approx(wanted)


def test_frechet_distance_holds_with_fewer_samples_than_dimensions():
    # The same Gaussians of 3 dimensions, turned into a subspace of 60
    first = gaussian(20, np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    second = gaussian(25, np.array([1.0, 0.0, -2.0]), np.diag([4.0, 4.0, 1.0]), 1)
    axes = np.linalg.qr(np.random.default_rng(3).normal(size=(60, 3)))[0]
    assert generative.frechet_distance(first @ axes.T, second @ axes.T) == pytest.approx(10.0)
    # and of full rank: against the eigenvalues of the covariances' product
    x, y = np.random.default_rng(4).normal(size=(2, 10, 30))
    x, y = x * 2, y + 1
    root = np.sqrt(np.maximum(linalg.eigvals(np.cov(x.T) @ np.cov(y.T)).real, 0)).sum()
    wanted = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(np.cov(x.T) + np.cov(y.T)) - 2 * root
    assert generative.frechet_distance(x, y) == pytest.approx(wanted, rel=1e-5)


def test_a_set_has_no_distance_from_itself():
    real, _ = two_sets()
    assert generative.frechet_distance(real, real[::-1]) == pytest.approx(0.0, abs=1e-10)
    assert generative.kernel_distance(real, real) < 0  # pairs of a sample and itself count across only


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_distances_are_symmetric_and_blind_to_order_and_turns(seed):
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(9, 5)), generator.normal(1, 2, size=(8, 5))
    turn = np.linalg.qr(generator.normal(size=(5, 5)))[0]
    for distance in (generative.frechet_distance, generative.kernel_distance):
        wanted = distance(x, y)
        assert distance(y, x) == pytest.approx(wanted)
        assert distance(generator.permutation(x), y) == pytest.approx(wanted)
        assert distance(x @ turn, y @ turn) == pytest.approx(wanted)


# --- precision, recall, density, coverage ---


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_manifold_agrees_with_the_authors(block, k, shift):
    real, synthetic = two_sets(shift=shift)
    wanted = prdc.compute_prdc(real, synthetic, k)
    assert wanted["recall"] > 0
    assert generative.precision_recall_density_coverage(real, synthetic, k)._asdict() == pytest.approx(wanted)


def test_manifold_by_hand():
    real, synthetic = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [9.0]])
    found = generative.precision_recall_density_coverage(real, synthetic, k=1)
    # reaches: real 1, 1, 2; synthetic 8.5 and 8.5. 0.5 is within reach of 0 and 1; 9 reaches 1 and 3, not 0
    assert found == (0.5, 1.0, 1.0, pytest.approx(2 / 3))


# --- memorisation ---


def slices(generator, patients, samples, d=8, within=0.3):
    """Features of patients, near to each other within a patient, and ids."""
    centres = generator.normal(size=(patients, 1, d))
    found = centres + within * generator.normal(size=(patients, samples, d))
    return found.reshape(-1, d), np.repeat([f"p{i:02d}" for i in range(patients)], samples)


def audit(generator, synthetic_of, held_out=20, samples=5, within=0.3):
    training, ids = slices(generator, 30, 10, within=within)
    others, other_ids = slices(generator, held_out, samples, within=within)
    others_named = np.char.add("new ", other_ids)
    return generative.memorisation(training, ids, others, others_named, synthetic_of(generator, training))


def new_patients(generator, training):
    return slices(generator, 200, 1)[0]


def copies(generator, training):
    return training[:100] + 1e-3 * generator.normal(size=(100, 8))


def test_copies_are_found_with_their_patients():
    found = audit(np.random.default_rng(0), copies)
    assert found.memorised
    assert found.share_nearer_1 == found.share_nearer_5 == found.auroc == 1.0
    assert found.median_ratio < 0.01
    assert found.p_value < 1e-6
    assert found.copied_patients == {f"p{i:02d}": 10 for i in range(10)}


def test_exact_copies_are_at_no_distance():
    assert audit(np.random.default_rng(0), lambda _, training: training[5:8]).median_synthetic == 0.0


def test_new_patients_are_no_copies():
    found = audit(np.random.default_rng(0), new_patients)
    assert not found.memorised
    assert 0.35 < found.auroc < 0.65
    assert found.p_value > 0.05
    assert found.median_ratio == pytest.approx(1.0, abs=0.15)


def test_a_few_copied_patients_among_many_new_ones_are_found():
    def mixed(generator, training):
        return np.concatenate([new_patients(generator, training)[:85], training[:15]])

    found = audit(np.random.default_rng(1), mixed, held_out=40)
    assert found.memorised
    assert 0.07 < found.limit_1 < 0.15 <= found.share_nearer_1 < 0.25
    assert list(found.copied_patients.items())[0] == ("p00", 10)
    assert found.p_value > 0.05  # as a whole, they are not much nearer


@pytest.mark.parametrize(("held_out", "wanted"), [(5, 0.45), (40, 0.072)])  # 1 - 0.05^(1 / patients)
def test_the_limit_is_that_of_the_smallest_of_the_held_out_patients(held_out, wanted):
    generator = np.random.default_rng(0)
    found = generative.memorisation(
        generator.normal(size=(9, 2)),
        np.arange(9),
        generator.normal(size=(held_out, 2)),
        np.arange(9, 9 + held_out),
        generator.normal(size=(5000, 2)),
    )
    assert found.limit_1 == pytest.approx(wanted, abs=0.005)


@pytest.mark.parametrize(("held_out", "samples", "within"), [(6, 1, 0.3), (25, 8, 0.05), (120, 2, 0.3)])
def test_who_copies_nothing_is_seldom_called_a_copier(held_out, samples, within):
    generator = np.random.default_rng(2)

    def others(generator, training):
        return slices(generator, 120, 1, within=within)[0]

    found = [audit(generator, others, held_out, samples, within) for _ in range(150)]
    assert np.mean([x.memorised for x in found]) < 0.05 + 3 * 0.018
    assert np.mean([x.p_value <= 0.05 for x in found]) < 0.05 + 3 * 0.018


def test_ranks_agree_with_mann_and_whitney():
    generator = np.random.default_rng(3)
    training, held_out, synthetic = (generator.normal(size=(n, 3)) for n in (20, 9, 25))
    synthetic *= 0.8
    found = generative.memorisation(training, np.arange(20), held_out, np.arange(20, 29), synthetic)
    own, others = (euclidean_distances(x, training).min(axis=1) for x in (synthetic, held_out))
    wanted = stats.mannwhitneyu(others, own, use_continuity=False, alternative="greater", method="asymptotic")
    assert 0.001 < wanted.pvalue < 0.999
    assert found.auroc == pytest.approx(wanted.statistic / (9 * 25))
    assert found.p_value == pytest.approx(wanted.pvalue)
    assert found.median_ratio == pytest.approx(np.median(own) / np.median(others))
    assert found.share_nearer_1 == found.share_nearer_5 == pytest.approx(np.mean(own < others.min()))


def test_closest_five_percent_of_forty_are_those_below_the_second():
    held_out = np.arange(1.0, 41)[:, None]  # at distances 1, 2, ... from the one training sample
    synthetic = np.array([[0.5], [1.0], [1.5], [2.0], [9.0]])
    found = generative.memorisation(np.zeros((1, 1)), np.zeros(1), held_out, np.arange(1, 41), synthetic)
    assert (found.share_nearer_1, found.share_nearer_5) == (1 / 5, 3 / 5)  # below 1, below 2
    # 1.0 ties with one and 2.0 with another: of 40 each, 40, 39.5, 39, 38.5 and 31.5 are farther
    assert found.auroc == pytest.approx((40 + 39.5 + 39 + 38.5 + 31.5) / 200)


def test_each_held_out_patient_counts_once_whatever_its_samples():
    generator = np.random.default_rng(4)
    training, ids = slices(generator, 10, 3)
    held_out, synthetic = slices(generator, 8, 1)[0], slices(generator, 30, 1)[0]
    other_ids = np.arange(8).astype(str)
    wanted = generative.memorisation(training, ids, held_out, other_ids, synthetic)
    repeats = np.array([9, 1, 1, 5, 1, 1, 2, 1])
    repeated = (np.repeat(x, repeats, axis=0) for x in (held_out, other_ids))
    found = generative.memorisation(training, ids, *repeated, synthetic)
    for name, value in found._asdict().items():
        assert value == pytest.approx(getattr(wanted, name)), name


def test_scale_and_order_change_no_share(block):
    generator = np.random.default_rng(5)
    training, ids = slices(generator, 10, 3)
    held_out, other_ids = slices(generator, 8, 2)
    other_ids = np.char.add("new ", other_ids)
    synthetic = np.concatenate([slices(generator, 30, 1)[0], training[:12]])
    wanted = generative.memorisation(training, ids, held_out, other_ids, synthetic)
    order = generator.permutation(len(training))
    found = generative.memorisation(
        100 * training[order], ids[order], 100 * held_out[::-1], other_ids[::-1], 100 * synthetic[::-1]
    )
    assert wanted.copied_patients
    for name in set(wanted._fields) - {"median_synthetic", "median_held_out"}:
        assert getattr(found, name) == pytest.approx(getattr(wanted, name)), name
    assert found.median_synthetic == pytest.approx(100 * wanted.median_synthetic)


# --- what does not fit ---


@pytest.mark.parametrize(
    "function",
    [generative.kernel_distance, generative.frechet_distance, generative.precision_recall_density_coverage],
)
@pytest.mark.parametrize(
    ("real", "synthetic", "words"),
    [
        (np.zeros((9, 2)), np.zeros((9, 3)), r"shapes \(9, 2\), \(9, 3\)"),
        (np.zeros((9, 2, 2)), np.zeros((9, 2)), r"give pooled ones"),
        (np.zeros((9, 2)), np.zeros((1, 2)), r"at least \d samples"),
        (np.zeros((9, 2)), np.full((9, 2), np.nan), "NaN or infinite"),
    ],
)
def test_features_that_do_not_fit_are_refused(function, real, synthetic, words):
    with pytest.raises(ValueError, match=words):
        function(real, synthetic)


def test_ids_that_do_not_fit_are_refused():
    x = np.zeros((2, 2))
    with pytest.raises(ValueError, match="patient b is in training and held out"):
        generative.memorisation(x, np.array(["a", "b"]), x, np.array(["b", "c"]), x)
    with pytest.raises(ValueError, match="3 and 2 patients for 2 training and 2 held-out samples"):
        generative.memorisation(x, np.array(["a", "b", "c"]), x, np.array(["d", "e"]), x)
