import numpy as np
import prdc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from sklearn.metrics.pairwise import polynomial_kernel

from rembrandt_featgen.measures import fidelity, pooled_features


@pytest.fixture(params=[1024, 7], ids=["one block", "many blocks"])
def block(request, monkeypatch):
    monkeypatch.setattr(pooled_features, "BLOCK", request.param)


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
    assert fidelity.kernel_distance(real, synthetic) == pytest.approx(wanted)


def test_kernel_distance_by_hand():
    # d = 1, kernel (xy + 1)^3: within 1 and 1 (0 x 1), 8 (1 x 1); across mean of 1, 1, 8, 8
    assert fidelity.kernel_distance(np.array([[0.0], [1.0]]), np.array([[1.0], [1.0]])) == pytest.approx(1 + 8 - 9.0)


def test_kernel_distance_of_one_distribution_has_no_bias():
    generator = np.random.default_rng(1)
    found = [fidelity.kernel_distance(*generator.normal(size=(2, 15, 4))) for _ in range(400)]
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
    second = gaussian(70, np.array([1.0, 0.0, -2.0]), np.diag([4.0, 4.0, 1.0]), seed=1)
    # |shift|^2 + sum of (sigma1 - sigma2)^2
    assert fidelity.frechet_distance(first, second) == pytest.approx(5.0 + 1 + 0 + 4)


def test_frechet_distance_of_turned_gaussians_agrees_with_the_matrix_root():
    generator = np.random.default_rng(2)
    a, b = (x @ x.T + np.eye(5) for x in generator.normal(size=(2, 5, 5)))
    mean = np.arange(5.0)
    wanted = mean @ mean + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert fidelity.frechet_distance(gaussian(30, 0 * mean, a), gaussian(40, mean, b)) == pytest.approx(wanted)


def test_frechet_distance_holds_with_fewer_samples_than_dimensions():
    # The same Gaussians of 3 dimensions, turned into a subspace of 60
    first = gaussian(20, np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    second = gaussian(25, np.array([1.0, 0.0, -2.0]), np.diag([4.0, 4.0, 1.0]), seed=1)
    axes = np.linalg.qr(np.random.default_rng(3).normal(size=(60, 3)))[0]
    assert fidelity.frechet_distance(first @ axes.T, second @ axes.T) == pytest.approx(10.0)
    # and of full rank: against the eigenvalues of the covariances' product
    x, y = np.random.default_rng(4).normal(size=(2, 10, 30))
    x, y = x * 2, y + 1
    root = np.sqrt(np.maximum(linalg.eigvals(np.cov(x.T) @ np.cov(y.T)).real, 0)).sum()
    wanted = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(np.cov(x.T) + np.cov(y.T)) - 2 * root
    assert fidelity.frechet_distance(x, y) == pytest.approx(wanted, rel=1e-5)


def test_a_set_has_no_distance_from_itself():
    real, _ = two_sets()
    assert fidelity.frechet_distance(real, real[::-1]) == pytest.approx(0.0, abs=1e-10)
    assert fidelity.kernel_distance(real, real) < 0  # pairs of a sample and itself count across only


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_distances_are_symmetric_and_blind_to_order_and_turns(seed):
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(9, 5)), generator.normal(1, 2, size=(8, 5))
    turn = np.linalg.qr(generator.normal(size=(5, 5)))[0]
    for distance in (fidelity.frechet_distance, fidelity.kernel_distance):
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
    assert fidelity.precision_recall_density_coverage(real, synthetic, k)._asdict() == pytest.approx(wanted)


def test_manifold_by_hand():
    real, synthetic = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [9.0]])
    found = fidelity.precision_recall_density_coverage(real, synthetic, k=1)
    # reaches: real 1, 1, 2; synthetic 8.5 and 8.5. 0.5 is within reach of 0 and 1; 9 reaches 1 and 3, not 0
    assert found == (0.5, 1.0, 1.0, pytest.approx(2 / 3))


# --- what does not fit ---


@pytest.mark.parametrize(
    "function",
    [fidelity.kernel_distance, fidelity.frechet_distance, fidelity.precision_recall_density_coverage],
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
