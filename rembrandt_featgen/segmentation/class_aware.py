"""A U-Net that learns the classes of its patients along with the mask, so that its features differ by class.

This is not of the paper. Trained to segment alone, the deepest block need hold nothing of the class. Here a head reads
the class from the block's features over the tumour, and its loss reaches the encoder. The head is for training only.

The head standardises features over the batch. Without that, on a phantom of 30 training patients and 180 steps, it
stayed at chance (validation cross-entropy 0.68, with it 0.48): the features' common mean drowns their differences, and
the quickest way down is to make all of them small.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import sampling_order, truth
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.nn import distribution, replicated
from rembrandt_featgen.segmentation.unet import block_output

_DROPOUT = 0.5  # of the averaged features, as before the dense layers of the paper's classifier (3.3)
_MOMENTUM = 0.9  # of batch norm, as in the classifier
_EPSILON = 1e-6  # weight of a position where no tumour is seen at all


class ClassAware(tf.keras.Model):
    """A U-Net with the training step of L = L_S + weight * L_C; a Keras model only because `fit` needs one.

    L_S is the loss that it is compiled with, soft dice (paper eq. 3); the logs "loss" and those of the compiled metrics
    are of segmentation alone, as without a head. L_C is `class_loss`, logged as "class_loss" beside "class_accuracy",
    both with classes weighed equally and over slices with tumour.

    Batches are (images, (masks, labels)); labels [batch] int are indices of the classes.

    Args:
      unet: of `unet.build_unet`.
      weight: of L_C, from 0.
      class_weights: [classes], of the slices of each class, by label.
      seed: of the head's initial weights and of the dropout, which is a function of it and of the step, so that a
        resumed training repeats.
    """

    def __init__(
        self, unet: tf.keras.Model, *, weight: float, class_weights: Sequence[float] | np.ndarray, seed: int = 0
    ):
        super().__init__(name="class_aware")
        features = block_output(unet, "conv5")
        self.unet = unet
        self._block_and_tumour = tf.keras.Model(unet.input, [features, unet.output])
        self.norm = replicated.BatchNormalization(momentum=_MOMENTUM, center=False, scale=False, dtype="float32")
        self.head = tf.keras.layers.Dense(
            1 if len(class_weights) == 2 else len(class_weights),
            kernel_initializer=tf.keras.initializers.GlorotUniform(seed),
            dtype="float32",
        )
        for layer in (self.norm, self.head):  # now, so that a checkpoint finds their weights
            layer.build((None, features.shape[-1]))
        self._loss_weight, self._seed = weight, seed
        self._class_weights = tf.constant(class_weights, tf.float32)
        self._class_loss = tf.keras.metrics.Mean("class_loss")
        self._class_accuracy = tf.keras.metrics.Mean("class_accuracy")

    @property
    def weights(self):
        """Those of the U-Net alone, in its order: they are what is kept of the best epoch."""
        return self.unet.weights

    def reset_head(self) -> None:
        """Makes the head and its norm as they began, for weights of the U-Net whose features they do not know."""
        kernel, bias = self.head.weights
        self.head.set_weights([tf.keras.initializers.GlorotUniform(self._seed)(kernel.shape), tf.zeros_like(bias)])
        mean, variance = self.norm.weights
        self.norm.set_weights([tf.zeros_like(mean), tf.ones_like(variance)])

    def call(self, images, training=False):
        """Probability of tumour, as the U-Net gives it."""
        return self.unet(images, training=training)

    def train_step(self, data):
        """One step down L = L_S + weight * L_C."""
        images, (masks, labels) = data
        with tf.GradientTape() as tape:
            features, tumour = self._block_and_tumour(images, training=True)
            logits = self._class_logits(features, tumour, training=True)
            L_S = replicated.global_loss(self.compute_loss(images, masks, tumour), images)
            L_C = class_loss(labels, logits, self._slice_weights(masks, labels))
            loss = L_S + self._loss_weight * L_C
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        return self._log(masks, labels, tumour=tumour, logits=logits)

    def test_step(self, data):
        """Measures both tasks."""
        images, (masks, labels) = data
        features, tumour = self._block_and_tumour(images, training=False)
        self.compute_loss(images, masks, tumour)
        logits = self._class_logits(features, tumour, training=False)
        return self._log(masks, labels, tumour=tumour, logits=logits)

    def _class_logits(self, features, tumour, training):
        """Logit of the positive class of two, [batch, 1], or of each of more."""
        average = self.norm(tumour_average(features, tumour), training=training)
        if training:
            seed = tf.stack([tf.cast(self._seed, tf.int64), self.optimizer.iterations])
            average = replicated.dropout(average, _DROPOUT, seed)
        return self.head(average)

    def _slice_weights(self, masks, labels):
        """Weight of each slice in L_C, [batch]: 0 where there is no tumour to read the class from."""
        has_tumour = tf.reduce_any(tf.cast(masks, tf.bool), (1, 2, 3))
        return tf.where(has_tumour, tf.gather(self._class_weights, labels), 0.0)

    def _log(self, masks, labels, *, tumour, logits):
        weights = self._slice_weights(masks, labels)
        self._class_loss.update_state(_cross_entropy(labels, logits), weights)
        of_two = logits.shape[1] == 1
        predicted = logits[:, 0] > 0.0 if of_two else tf.argmax(logits, 1, labels.dtype)
        self._class_accuracy.update_state(tf.equal(predicted, labels == 1 if of_two else labels), weights)
        return self.compute_metrics(None, masks, tumour, None)


def tumour_average(features: tf.Tensor, tumour: tf.Tensor) -> tf.Tensor:
    """Mean of each feature over the tumour, every position weighing by the tumour's probability there.

    The probability passes no gradient: the class is to change what is seen in a tumour, not where one is seen.

    Args:
      features: [batch, h, w, channels], any float type.
      tumour: [batch, height, width, 1] probability; averaged over the area of each of the h x w positions.

    Returns:
      [batch, channels] float32; the mean over all positions where no tumour is seen.
    """
    weight = tf.image.resize(tf.stop_gradient(tumour), tf.shape(features)[1:3], "area") + _EPSILON
    return tf.reduce_sum(weight * tf.cast(features, tf.float32), (1, 2)) / tf.reduce_sum(weight, (1, 2))


def class_loss(labels: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of the class: the mean of weight * -log P(true class) over the slices that have a weight.

    Args:
      labels: [batch] int.
      logits: [batch, 1] float32, of the positive class of two, 1; [batch, classes] of more.
      weights: [batch] float32; 0 leaves a slice out.

    Returns:
      float32 scalar; 0 where no slice has a weight. Of several replicas, the part of this one.
    """
    counted = distribution.total_of(tf.cast(tf.math.count_nonzero(weights), tf.float32))
    return tf.math.divide_no_nan(tf.reduce_sum(weights * _cross_entropy(labels, logits)), counted)


def _cross_entropy(labels, logits):
    if logits.shape[1] > 1:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    return tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(labels, tf.float32), logits[:, 0])


def class_weights(
    slices: Path, classes: Classes, *, weight: float, sampling: str, kept: np.ndarray | None = None
) -> np.ndarray | None:
    """Weights by label that make classes equal over the draws of training slices with tumour, whose mean weight is 1.

    Args:
      slices: folder of the stage prepare_slices.
      classes: of the cohort.
      weight: --unet_class_weight.
      sampling: one of `pipelines.SAMPLINGS`.
      kept: [n] bool, the training slices that are learnt from; None for all.

    Returns:
      [classes] float64; None for a weight of 0.

    Raises:
      InputError: a class has no training slice with tumour.
    """
    if not weight:
        return None
    store, areas = Store(slices, "train"), truth.areas(slices, "train")
    numbers = np.arange(len(store)) if kept is None else np.flatnonzero(kept)
    shares, areas = np.ones(len(numbers)), areas[numbers]
    if sampling == "patients":
        shares = sampling_order.patient_shares(np.array(store.patients)[numbers], areas)
    counts = np.bincount(store.labels[numbers], shares * (areas > 0), minlength=classes.count)
    if not counts.all():
        raise InputError(
            f"--unet_class_weight={weight:g} needs training slices with tumour of every class, but there are none of "
            f"{classes.names[int(counts.argmin())]}; take --unet_class_weight=0"
        )
    return counts.sum() / (float(classes.count) * counts)
