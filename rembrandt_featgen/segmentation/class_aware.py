"""A U-Net in training that tells the grade, too, so that its features tell grades apart; not of the paper.

Trained to segment alone, the deepest block need hold nothing of the grade. Here a head reads the grade from the block's
features over the tumour, and its loss reaches the encoder. The head is for training only.

The head standardises features over the batch. Without that, on a phantom of 30 training patients and 180 steps, it
stayed at chance (validation cross-entropy 0.68, with it 0.48): the features' common mean drowns their differences, and
the quickest way down is to make all of them small.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

_DROPOUT = 0.5  # of the averaged features, as before the dense layers of the paper's classifier (3.3)
_MOMENTUM = 0.9  # of batch norm, as in the classifier
_EPSILON = 1e-6  # weight of a position where no tumour is seen at all


class GradeAware(tf.keras.Model):
    """A U-Net with the training step of L = L_S + unet_class_weight * L_G; a Keras model only because `fit` needs one.

    L_S is the loss that it is compiled with, soft dice (paper eq. 3); the logs "loss" and those of the compiled metrics
    are of segmentation alone, as without a head. L_G is `grade_loss`, logged as "grade_loss" beside "grade_accuracy",
    both with classes weighed equally and over slices with tumour.

    Batches are (images, (masks, labels)), labels [batch] int, 0 = LGG, 1 = HGG.

    Args:
      unet: of `unet.build_unet`.
      unet_class_weight: weight of L_G, from 0.
      class_weights: of the slices of LGG and HGG.
      seed: of the head's initial weights and of the dropout, which is a function of it and of the step, so that a
        resumed training repeats.
    """

    def __init__(self, unet: tf.keras.Model, unet_class_weight: float, class_weights: Sequence[float], seed: int = 0):
        super().__init__(name="grade_aware")
        features = unet.get_layer("conv5_2").output
        self.unet = unet
        self._block_and_tumour = tf.keras.Model(unet.input, [features, unet.output])
        self.norm = tf.keras.layers.BatchNormalization(momentum=_MOMENTUM, center=False, scale=False, dtype="float32")
        self.head = tf.keras.layers.Dense(
            1, kernel_initializer=tf.keras.initializers.GlorotUniform(seed), dtype="float32"
        )
        for layer in (self.norm, self.head):  # now, so that a checkpoint finds their weights
            layer.build((None, features.shape[-1]))
        self._grade_weight, self._seed = unet_class_weight, seed
        self._class_weights = tf.constant(class_weights, tf.float32)
        self._grade_loss = tf.keras.metrics.Mean("grade_loss")
        self._grade_accuracy = tf.keras.metrics.Mean("grade_accuracy")

    @property
    def weights(self):
        """Those of the U-Net alone, in its order: they are what is kept of the best epoch."""
        return self.unet.weights

    def call(self, images, training=False):
        """Probability of tumour, as the U-Net gives it."""
        return self.unet(images, training=training)

    def train_step(self, data):
        """One step down L = L_S + unet_class_weight * L_G."""
        images, (masks, labels) = data
        with tf.GradientTape() as tape:
            features, tumour = self._block_and_tumour(images, training=True)
            logits = self._tell_grade(features, tumour, training=True)
            L_S = self.compute_loss(images, masks, tumour)
            L_G = grade_loss(labels, logits, self._weigh(masks, labels))
            loss = L_S + self._grade_weight * L_G
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return self._log(masks, labels, tumour, logits)

    def test_step(self, data):
        """Measures both tasks."""
        images, (masks, labels) = data
        features, tumour = self._block_and_tumour(images, training=False)
        self.compute_loss(images, masks, tumour)
        return self._log(masks, labels, tumour, self._tell_grade(features, tumour, training=False))

    def _tell_grade(self, features, tumour, training):
        """Logit of HGG, [batch, 1]."""
        average = self.norm(tumour_average(features, tumour), training=training)
        if training:
            seed = tf.stack([tf.cast(self._seed, tf.int64), self.optimizer.iterations])
            average = tf.nn.experimental.stateless_dropout(average, _DROPOUT, seed)
        return self.head(average)

    def _weigh(self, masks, labels):
        """Weight of each slice's grade, [batch]: none where there is no tumour to tell it from."""
        has_tumour = tf.reduce_any(tf.cast(masks, tf.bool), (1, 2, 3))
        return tf.where(has_tumour, tf.gather(self._class_weights, labels), 0.0)

    def _log(self, masks, labels, tumour, logits):
        weights = self._weigh(masks, labels)
        self._grade_loss.update_state(_cross_entropy(labels, logits), weights)
        self._grade_accuracy.update_state(tf.equal(logits[:, 0] > 0.0, labels == 1), weights)
        return self.compute_metrics(None, masks, tumour, None)


def tumour_average(features: tf.Tensor, tumour: tf.Tensor) -> tf.Tensor:
    """Mean of each feature over the tumour, every position weighing by the tumour's probability there.

    The probability passes no gradient: the grade is to change what is seen in a tumour, not where one is seen.

    Args:
      features: [batch, h, w, channels], any float type.
      tumour: [batch, height, width, 1] probability; averaged over the area of each of the h x w positions.

    Returns:
      [batch, channels] float32; the mean over all positions where no tumour is seen.
    """
    weight = tf.image.resize(tf.stop_gradient(tumour), tf.shape(features)[1:3], "area") + _EPSILON
    return tf.reduce_sum(weight * tf.cast(features, tf.float32), (1, 2)) / tf.reduce_sum(weight, (1, 2))


def grade_loss(labels: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of the grade: the mean of weight * -log P(true grade) over the slices that have a weight.

    Args:
      labels: [batch] int, 0 = LGG, 1 = HGG.
      logits: [batch, 1] float32, of HGG.
      weights: [batch] float32; 0 leaves a slice out.

    Returns:
      float32 scalar; 0 where no slice has a weight.
    """
    graded = tf.cast(tf.math.count_nonzero(weights), tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(weights * _cross_entropy(labels, logits)), graded)


def _cross_entropy(labels, logits):
    return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, tf.float32), logits[:, 0])
