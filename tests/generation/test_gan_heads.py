"""The class terms of an auxiliary classifier, and of one that tells real samples of a class from generated ones."""

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.generation import gan_heads

LABELS = tf.constant([0, 1])
PLAIN = {"label": tf.constant([[2.0, 0.0], [1.0, 4.0]])}
BOTH = {**PLAIN, "generated_label": tf.constant([[1.0, 0.0], [0.0, 3.0]])}


def entropy(logits, target):
    return np.log(np.exp(logits).sum()) - logits[target]


def test_a_plain_classifier_does_not_ask_whether_samples_are_real():
    wanted = (entropy([2.0, 0.0], 0) + entropy([1.0, 4.0], 1)) / 2
    for real in (True, False):
        assert float(gan_heads.class_loss(PLAIN, LABELS, kind="correct", real=real)) == pytest.approx(wanted, rel=1e-6)
    assert float(gan_heads.generator_class_loss(PLAIN, LABELS, kind="correct")) == pytest.approx(wanted, rel=1e-6)


def test_a_discriminative_one_has_two_outputs_a_class():
    """Hou et al. 2022: the classifier is right of a generated sample if it says "generated, of this class"."""
    rows = [2.0, 0.0, 1.0, 0.0], [1.0, 4.0, 0.0, 3.0]
    real = (entropy(rows[0], 0) + entropy(rows[1], 1)) / 2
    generated = (entropy(rows[0], 2) + entropy(rows[1], 3)) / 2
    assert float(gan_heads.class_loss(BOTH, LABELS, kind="correct", real=True)) == pytest.approx(real, rel=1e-6)
    assert float(gan_heads.class_loss(BOTH, LABELS, kind="correct", real=False)) == pytest.approx(generated, rel=1e-6)


def test_its_generator_wants_to_look_real_rather_than_generated():
    """-E[log P(real, c | x) - log P(generated, c | x)] is the difference of two logits: ((2 - 1) + (4 - 3)) / 2."""
    assert float(gan_heads.generator_class_loss(BOTH, LABELS, kind="correct")) == pytest.approx(-1.0, rel=1e-6)
    # what is easily classified, but as generated, is worth nothing to it, unlike to an ACGAN's generator
    sure = {"label": tf.constant([[9.0, 0.0]]), "generated_label": tf.constant([[9.0, 0.0]])}
    assert float(gan_heads.generator_class_loss(sure, LABELS[:1], kind="correct")) == pytest.approx(0.0, abs=1e-6)


def test_the_class_that_it_predicts_is_that_of_real_samples():
    heads = {"label": tf.constant([[1.0, 0.0], [1.0, 0.0]]), "generated_label": tf.constant([[0.0, 9.0], [9.0, 0.0]])}
    assert gan_heads.is_of_label(heads, LABELS).numpy().tolist() == [True, False]


def test_without_a_classifier_there_is_no_term():
    assert gan_heads.class_loss({"source": tf.zeros([2, 1])}, LABELS, kind="correct", real=True) == 0.0
    assert gan_heads.generator_class_loss({"source": tf.zeros([2, 1])}, LABELS, kind="correct") == 0.0
