"""Dropout of feature maps that Grappler's layout pass can handle."""

from __future__ import annotations

import tensorflow as tf

from rembrandt_featgen.nn import replicated


class MapDropout(replicated.Dropout):
    """Keras' dropout, with its values, done on maps as rows.

    TensorFlow's picks from a map and a scalar zero. Grappler, which lays convolutions out anew on a GPU, transposes the
    scalar, too ("Size of values 0 does not match size of permutation 4", github.com/tensorflow/tensorflow/pull/68488),
    and gives up on the whole graph. What has two axes it leaves alone.
    """

    def call(self, inputs, training=None):
        """[batch, ...] to the same shape."""
        rows = tf.reshape(inputs, [tf.shape(inputs)[0], -1])
        return tf.reshape(super().call(rows, training=training), tf.shape(inputs))
