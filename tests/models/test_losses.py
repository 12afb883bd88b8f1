import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from rembrandt_featgen.models import losses

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
    found = losses.source_term(tf.reshape(tf.constant(logits), [-1, 1]), real)
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
    found = losses.class_term(tf.constant(labels), tf.constant(logits))
    assert found.shape == ()
    assert float(found) == pytest.approx(loss, rel=1e-6)


def test_class_term_takes_the_log_softmax_of_logits():
    # fed a softmax, as in the origin, it could get neither below ln(1 + e^-1) = 0.313 nor above ln(1 + e) = 1.313
    logits = tf.constant([[100.0, -100.0]])
    assert float(losses.class_term(tf.constant([0]), logits)) == pytest.approx(0.0, abs=1e-6)
    assert float(losses.class_term(tf.constant([1]), logits)) == pytest.approx(200.0)


@pytest.mark.parametrize("label_type", [tf.int32, tf.int64])
def test_terms_equal_scipy(label_type):
    rng = np.random.default_rng(0)
    source, grade, labels = rng.normal(0, 5, (32, 1)), rng.normal(0, 5, (32, 2)), rng.integers(0, 2, 32)
    wanted = [
        -special.log_expit(source).mean(),
        -special.log_expit(-source).mean(),
        -special.log_softmax(grade, -1)[np.arange(32), labels].mean(),
    ]
    found = [
        losses.source_term(tf.constant(source), real=True),
        losses.source_term(tf.constant(source), real=False),
        losses.class_term(tf.constant(labels, label_type), tf.constant(grade)),
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("half", [tf.float16, tf.bfloat16])
def test_half_precision_logits_give_float32(half):
    # 2.0 and 3.0 are exact in both types; their losses are not, so a loss computed in half precision is off by 1e-4
    terms = [
        (losses.source_term(tf.constant([[2.0]], half), real=False), np.log1p(np.exp(2.0))),
        (losses.class_term(tf.constant([0]), tf.constant([[0.0, 3.0]], half)), np.log1p(np.exp(3.0))),
    ]
    for found, wanted in terms:
        assert found.dtype == tf.float32
        assert float(found) == pytest.approx(wanted, rel=1e-6)
