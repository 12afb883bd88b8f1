import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from rembrandt_featgen.generation import gan_losses

LN2 = 0.69314718


@pytest.mark.parametrize(
    ("logits", "real", "loss"),
    [
        ([0.0, 0.0], True, LN2),
        ([0.0, 0.0], False, LN2),
        ([2.0, -1.0], True, 0.7200947),  # (ln(1 + e^-2) + ln(1 + e)) / 2 = (0.126928 + 1.313262) / 2
        ([2.0, -1.0], False, 1.2200947),  # (ln(1 + e^2) + ln(1 + e^-1)) / 2 = (2.126928 + 0.313262) / 2
        ([1000.0], True, 0.0),
        ([1000.0], False, 1000.0),  # finite, where log(1 - sigmoid) is not
        ([-1000.0], True, 1000.0),
    ],
)
def test_source_term_by_hand(logits, real, loss):
    found = gan_losses.source_term(tf.reshape(tf.constant(logits), [-1, 1]), real)
    assert found.shape == ()
    assert float(found) == pytest.approx(loss, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(
    ("labels", "logits", "loss"),
    [
        ([0, 1], [[0.0, 0.0], [0.0, 0.0]], LN2),
        ([0, 0], [[2.0, 0.0], [1.0, 4.0]], 1.5877576),  # (ln(1 + e^-2) + ln(1 + e^3)) / 2 = (0.126928 + 3.048587) / 2
        ([1, 1], [[2.0, 0.0], [1.0, 4.0]], 1.0877576),  # (2.126928 + 0.048587) / 2
    ],
)
def test_class_term_by_hand(labels, logits, loss):
    found = gan_losses.class_term(tf.constant(labels), tf.constant(logits))
    assert found.shape == ()
    assert float(found) == pytest.approx(loss, rel=1e-6)


def test_class_term_takes_the_log_softmax_of_logits():
    # fed a softmax, as in the reference implementation, it could get neither below ln(1 + e^-1) = 0.313
    # nor above ln(1 + e) = 1.313
    logits = tf.constant([[100.0, -100.0]])
    assert float(gan_losses.class_term(tf.constant([0]), logits)) == pytest.approx(0.0, abs=1e-6)
    assert float(gan_losses.class_term(tf.constant([1]), logits)) == pytest.approx(200.0)


@pytest.mark.parametrize(
    ("labels", "logits", "loss"),
    [
        ([0, 1], [[0.0, 0.0], [0.0, 0.0]], -0.5),
        ([0, 0], [[2.0, 0.0], [1.0, 4.0]], -0.4641115),  # -(1 / (1 + e^-2) + 1 / (1 + e^3)) / 2
        ([1], [[-1000.0, 1000.0]], -1.0),
        ([0], [[-1000.0, 1000.0]], 0.0),
    ],
)
def test_reference_class_term_by_hand(labels, logits, loss):
    found = gan_losses.reference_class_term(tf.constant(labels), tf.constant(logits))
    assert found.shape == ()
    assert float(found) == pytest.approx(loss, rel=1e-6, abs=1e-7)


def test_reference_class_term_hardly_corrects_a_sure_error():
    """Its gradient is -p (1 - p), where the correct one is -(1 - p); p is e^-8 here."""
    logits, gradients = tf.Variable([[8.0, 0.0]]), []
    for term in (gan_losses.class_term, gan_losses.reference_class_term):
        with tf.GradientTape() as tape:
            loss = term(tf.constant([1]), logits)
        gradients.append(tape.gradient(loss, logits).numpy()[0, 1])
    assert gradients == pytest.approx([-0.9996646, -0.000335237], rel=1e-5)


@pytest.mark.parametrize(
    ("codes", "mean", "deviation", "term"),
    [
        # -log N(0; 0, 1) - log 2 = log(2 pi) / 2 - log 2
        ([[0.0]], [[0.0]], [[1.0]], 0.2257914),
        # + 0.5^2 / 2
        ([[0.5]], [[0.0]], [[1.0]], 0.3507914),
        # (0.5 / 0.25)^2 / 2 + log 0.25 + log(2 pi) / 2 - log 2
        ([[0.75]], [[0.25]], [[0.25]], 0.8394971),
        # codes are summed, samples averaged: (0.2257914 + 0.3507914 + 2 x 0.2257914) / 2
        ([[0.0, 0.5], [1.0, -1.0]], [[0.0, 0.0], [1.0, -1.0]], [[1.0, 1.0], [1.0, 1.0]], 0.5140828),
    ],
)
def test_information_term_by_hand(codes, mean, deviation, term):
    found = gan_losses.information_term(*map(tf.constant, (codes, mean, deviation)))
    assert found.shape == ()
    assert float(found) == pytest.approx(term, rel=1e-6)


def test_information_is_a_lower_bound():
    """c uniform in (-1, 1), x = c + N(0, 0.3): I(c; x) = h(x) - h(0.3 N), by quadrature, and no Q may say more."""
    deviation, rng = 0.3, np.random.default_rng(0)
    x = np.linspace(-4, 4, 20001)
    density = (special.ndtr((x + 1) / deviation) - special.ndtr((x - 1) / deviation)) / 2
    exact = special.entr(density).sum() * (x[1] - x[0]) - np.log(deviation * np.sqrt(2 * np.pi * np.e))
    codes = rng.uniform(-1, 1, (100_000, 1))
    seen = codes + rng.normal(0, deviation, codes.shape)
    found = [
        -float(
            gan_losses.information_term(tf.constant(codes), tf.constant(seen * a), tf.constant(np.full_like(codes, s)))
        )
        for a, s in ((1.0, 0.3), (0.8, 0.3), (0.9, 0.27), (0.0, 0.577))
    ]
    assert all(bound < exact for bound in found)
    assert found[0] == pytest.approx(np.log(2) - np.log(deviation * np.sqrt(2 * np.pi * np.e)), abs=0.01)
    assert max(found) > exact - 0.2  # what the best Q with a mean linear in x comes to
    assert found[-1] == pytest.approx(-0.176, abs=0.01)  # a normal distribution that knows nothing: below 0


@pytest.mark.parametrize("label_type", [tf.int32, tf.int64])
def test_terms_equal_scipy(label_type):
    rng = np.random.default_rng(0)
    source, classes, labels = rng.normal(0, 5, (32, 1)), rng.normal(0, 5, (32, 2)), rng.integers(0, 2, 32)
    codes, mean, deviation = rng.uniform(-1, 1, (32, 3)), rng.normal(0, 1, (32, 3)), rng.uniform(0.1, 2, (32, 3))
    wanted = [
        -special.log_expit(source).mean(),
        -special.log_expit(-source).mean(),
        -special.log_softmax(classes, -1)[np.arange(32), labels].mean(),
        -special.softmax(classes, -1)[np.arange(32), labels].mean(),
        -(stats.norm.logpdf(codes, mean, deviation) + np.log(2)).sum(-1).mean(),
    ]
    found = [
        gan_losses.source_term(tf.constant(source), real=True),
        gan_losses.source_term(tf.constant(source), real=False),
        gan_losses.class_term(tf.constant(labels, label_type), tf.constant(classes)),
        gan_losses.reference_class_term(tf.constant(labels, label_type), tf.constant(classes)),
        gan_losses.information_term(*map(tf.constant, (codes, mean, deviation))),
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("half", [tf.float16, tf.bfloat16])
def test_half_precision_logits_give_float32(half):
    # 2.0 and 3.0 are exact in both types; their losses are not, so a loss computed in half precision is off by 1e-4
    terms = [
        (gan_losses.source_term(tf.constant([[2.0]], half), real=False), np.log1p(np.exp(2.0))),
        (gan_losses.class_term(tf.constant([0]), tf.constant([[0.0, 3.0]], half)), np.log1p(np.exp(3.0))),
        (gan_losses.reference_class_term(tf.constant([0]), tf.constant([[0.0, 3.0]], half)), -special.expit(-3.0)),
        (
            gan_losses.information_term(*(tf.constant([[v]], half) for v in (0.0, 1.0, 2.0))),
            0.125 + 0.2257914 + np.log(2),
        ),
    ]
    for found, wanted in terms:
        assert found.dtype == tf.float32
        assert float(found) == pytest.approx(wanted, rel=1e-6)
