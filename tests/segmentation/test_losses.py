import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.segmentation import losses


def masks(*rows):
    return tf.constant(rows, tf.float32)[:, None, :, None]  # [batch, 1, pixels, 1]


# By hand: TP = 0.8, sum of probabilities 1.0, of truth 1 -> dice 2 x 0.8 / 2.0
@pytest.mark.parametrize(
    ("function", "truth", "probability", "wanted"),
    [
        (losses.soft_dice_loss, [1, 0, 0, 0], [0.8, 0.2, 0, 0], 0.2),
        (losses.soft_dice_loss, [1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5], 0.5),
        (losses.soft_dice_loss, [0, 0, 0, 0], [0, 0, 0, 0], 0.0),
        (losses.hard_dice, [1, 1, 0, 0], [0.9, 0.1, 0.9, 0.1], 0.5),
        (losses.hard_dice, [1, 1, 1, 0], [0.9, 0.9, 0.1, 0.1], 0.8),
        (losses.hard_dice, [0, 0, 0, 0], [0.4, 0, 0, 0], 1.0),
        (losses.hard_dice, [0, 0, 0, 0], [0.6, 0, 0, 0], 0.0),
        (losses.iou, [1, 1, 0, 0], [0.9, 0.1, 0.9, 0.1], 1 / 3),
        (losses.iou, [1, 1, 1, 0], [0.9, 0.9, 0.1, 0.1], 2 / 3),
        (losses.iou, [0, 0, 0, 0], [0, 0, 0, 0], 1.0),
    ],
)
def test_golden_values(function, truth, probability, wanted):
    np.testing.assert_allclose(function(masks(truth), masks(probability)), [wanted], atol=2e-5)
    np.testing.assert_allclose(tf.function(function)(masks(truth), masks(probability)), [wanted], atol=2e-5)


def test_each_slice_counts_alone():
    truth, probability = masks([1, 0], [0, 1]), masks([1, 0], [1, 0])
    np.testing.assert_allclose(losses.hard_dice(truth, probability), [1.0, 0.0], atol=2e-5)


def test_agrees_with_scikit_learn():
    from sklearn import metrics

    generator = np.random.default_rng(0)
    truth, probability = generator.integers(0, 2, 200), generator.random(200)
    arguments = masks(truth), masks(probability)
    predicted = probability > 0.5
    assert float(losses.hard_dice(*arguments)[0]) == pytest.approx(metrics.f1_score(truth, predicted), abs=1e-5)
    assert float(losses.iou(*arguments)[0]) == pytest.approx(metrics.jaccard_score(truth, predicted), abs=1e-5)


def test_integer_masks_and_half_probabilities_are_taken():
    truth = tf.constant([1, 0], tf.uint8)[None, None, :, None]
    loss = losses.soft_dice_loss(truth, tf.constant([1.0, 0.0], tf.bfloat16)[None, None, :, None])
    assert loss.dtype == tf.float32
    np.testing.assert_allclose(loss, [0.0], atol=1e-5)
