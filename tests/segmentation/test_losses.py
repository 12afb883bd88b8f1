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


def test_cross_entropy_by_hand_and_of_a_network_that_is_stuck():
    truth, probability = tf.constant([1, 0, 1], tf.uint8), tf.constant([0.5, 0.25, 0.1])
    wanted = -(np.log(0.5) + np.log(0.75) + np.log(0.1)) / 3
    assert float(losses.cross_entropy(truth, probability)) == pytest.approx(wanted, rel=1e-6)
    logits = tf.Variable([-40.0, -40.0, -60.0])
    with tf.GradientTape() as tape:
        loss = losses.cross_entropy(truth, tf.sigmoid(logits))
    np.testing.assert_allclose(tape.gradient(loss, logits), [-1 / 3, 0.0, -1 / 3], rtol=1e-3, atol=1e-9)
    assert np.isfinite(losses.cross_entropy(truth, tf.constant([0.0, 1.0, 0.0])))


def test_tumour_found_is_pooled_over_batches():
    metric = losses.TumourFound()
    assert float(metric.result()) == 1.0
    masks = np.zeros((3, 2, 8, 8, 1), np.uint8)
    masks[1, 0, :4], masks[2] = 1, 1
    predicted = np.zeros(masks.shape, np.float32)
    predicted[1, 0, 0], predicted[0] = 0.75, 0.9
    for mask, probability in zip(masks, predicted):
        metric.update_state(mask, probability)
    assert float(metric.result()) == pytest.approx(8 / (32 + 128))  # the mean over batches would be 0.42
    metric.reset_state()
    metric.update_state(masks[1], predicted[1])
    assert float(metric.result()) == pytest.approx(0.25)
