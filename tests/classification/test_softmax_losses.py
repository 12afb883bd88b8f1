import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.classification import softmax_losses

LOGITS = tf.constant([[0.3, -1.2, 2.0], [1.0, 1.0, -0.5]], tf.float64)
TARGETS = tf.constant([[0.0, 1.5, 0.0], [0.3, 0.0, 0.9]], tf.float64)


@pytest.mark.parametrize("focusing", [0.0, 0.5, 2.0])
def test_losses_as_in_the_paper_and_gradients_as_of_a_tape(focusing):
    with tf.GradientTape() as tape:
        tape.watch(LOGITS)
        log_p = tf.nn.log_softmax(LOGITS)
        losses = softmax_losses.losses(log_p, TARGETS, tf.constant(focusing, tf.float64))
    p = np.exp(log_p)
    np.testing.assert_allclose(losses, -TARGETS * (1 - p) ** focusing * np.log(p), rtol=1e-10)
    gradients = softmax_losses.gradients(log_p, TARGETS, tf.constant(focusing, tf.float64))
    np.testing.assert_allclose(gradients, tape.gradient(losses, LOGITS), rtol=1e-9)
    if focusing == 0:
        np.testing.assert_allclose(softmax_losses.gradients(log_p, TARGETS, None), gradients, rtol=1e-12)


def test_a_sure_answer_has_a_finite_gradient():
    log_p = tf.nn.log_softmax(tf.constant([[200.0, 0.0], [0.0, 200.0]]))
    gradients = softmax_losses.gradients(log_p, tf.constant([[1.0, 0.0], [1.0, 0.0]]), tf.constant(2.0))
    np.testing.assert_allclose(gradients, [[0, 0], [-1, 1]], atol=1e-5)
