"""Training steps of many networks of one hidden layer (ReLU), each weight of all of them in one variable."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import softmax_losses

_BETAS = (0.9, 0.999)  # of Adam
_EPSILON = 1e-8


class Chunk(NamedTuple):
    """What stays as it is in all epochs of p problems.

    Attributes:
      pool, offsets: [samples, d] and [p], samples of all problems, and where each one's are.
      targets: [p, 1 + n, classes], weighted.
      sizes: [steps, p], samples in a batch.
      focusing: [p, 1, 1].
      kept: [p, 1, 1] what weight decay leaves.
      rate: learning rate.
    """

    pool: tf.Tensor
    offsets: tf.Tensor
    targets: tf.Tensor
    sizes: tf.Tensor
    focusing: tf.Tensor
    kept: tf.Tensor
    rate: tf.Tensor


@functools.lru_cache(maxsize=16)
def network(d, units, outputs, *, focal, mixing):
    """The one `Network` of a shape: its epoch is traced once."""
    return Network(d, units, outputs, focal=focal, mixing=mixing)


class Network:
    """Weights of many networks of a shape, and a traced epoch of their training; lent to one chunk after another."""

    def __init__(self, d, units, outputs, *, focal, mixing):
        shapes = [(d, units), (1, units), (units, outputs), (1, outputs)]
        self._weights, self._means, self._squares = (
            [tf.Variable(tf.zeros([1, *shape]), trainable=False, shape=[None, *shape]) for shape in shapes]
            for _ in range(3)
        )
        self._single, self._focal, self._mixing = outputs == 1, focal, mixing
        floats = functools.partial(tf.TensorSpec, dtype=tf.float32)
        integers = functools.partial(tf.TensorSpec, dtype=tf.int32)
        chunk = Chunk(
            pool=floats([None, d]),
            offsets=integers([None]),
            targets=floats([None, None, max(outputs, 2)]),
            sizes=integers([None, None]),
            focusing=floats([None, 1, 1]),
            kept=floats([None, 1, 1]),
            rate=floats([]),
        )
        signature = [integers([None, None, None]), floats([None, 2, None]), integers([]), chunk]
        self.epoch = tf.function(self._all_steps, signature)

    def reset(self, initial):
        """Takes the initial weights of each problem, and sets the optimizer to its start."""
        for values, *variables in zip(zip(*initial), self._weights, self._means, self._squares):
            stacked = np.stack(values)
            for variable, value in zip(variables, (stacked, np.zeros_like(stacked), np.zeros_like(stacked))):
                variable.assign(value)

    def arrays(self, classes):
        """Weights of each problem, for `logits` of all classes."""
        hidden_kernels, hidden_biases, kernels, biases = (weight.numpy() for weight in self._weights)
        if classes == 2:  # the first class's logit is 0
            kernels, biases = (np.concatenate([np.zeros_like(value), value], 2) for value in (kernels, biases))
        names = ("hidden_kernel", "hidden_bias", "kernel", "bias")
        return [
            dict(zip(names, (hidden_kernel, hidden_bias[0], kernel, bias[0])))
            for hidden_kernel, hidden_bias, kernel, bias in zip(hidden_kernels, hidden_biases, kernels, biases)
        ]

    def _all_steps(self, rows, shares, done, chunk):
        """Does all steps of an epoch.

        Args:
          rows: [steps, p, batch] int32, of a problem's samples from 1 on; 0 is the blank one.
          shares: [steps, 2, p], see `perceptrons.mixing_shares`.
          done: steps before this epoch.
          chunk: all else.
        """
        hidden_kernel, hidden_bias, kernel, bias = self._weights
        for step in tf.range(tf.shape(rows)[0]):
            its_rows, size, share = rows[step], chunk.sizes[step], shares[step][..., None, None]
            x = tf.gather(chunk.pool, its_rows + chunk.offsets[:, None])
            targets = tf.gather(chunk.targets, its_rows, batch_dims=1) / tf.cast(size, tf.float32)[:, None, None]
            before, after = _partners(tf.shape(rows)[2], size)
            if self._mixing:
                x, targets = _mix(x, before, share[0]), _mix(targets, before, share[0] * share[1])
            hidden = tf.nn.relu(tf.matmul(x, hidden_kernel) + hidden_bias)
            mixed = _mix(hidden, before, share[1]) if self._mixing else hidden
            outputs = tf.matmul(mixed, kernel) + bias
            # The gradient, by hand: a tape's takes a third longer.
            by_output = self._gradient(outputs, targets, chunk.focusing)
            # of one output an outer product, which is faster without matmul
            by_hidden = (
                by_output * tf.transpose(kernel, [0, 2, 1])
                if self._single
                else tf.matmul(by_output, kernel, transpose_b=True)
            )
            if self._mixing:
                by_hidden = _mix(by_hidden, after, share[1])
            by_hidden = tf.raw_ops.ReluGrad(gradients=by_hidden, features=hidden)
            gradients = (
                tf.matmul(x, by_hidden, transpose_a=True),
                tf.reduce_sum(by_hidden, 1, keepdims=True),
                tf.matmul(mixed, by_output, transpose_a=True),
                tf.reduce_sum(by_output, 1, keepdims=True),
            )
            self._apply(gradients, tf.cast(done + step + 1, tf.float32), chunk)

    def _gradient(self, outputs, targets, focusing):
        """Of the sum of losses by the outputs [p, batch, outputs]."""
        if self._single and not self._focal:
            return tf.sigmoid(outputs) * tf.reduce_sum(targets, 2, keepdims=True) - targets[..., 1:]
        logits = tf.concat([tf.zeros_like(outputs), outputs], 2) if self._single else outputs
        by_logit = softmax_losses.gradients(tf.nn.log_softmax(logits), targets, focusing if self._focal else None)
        return by_logit[..., 1:] if self._single else by_logit

    def _apply(self, gradients, step, chunk):
        for number, weight in enumerate(self._weights):
            if number % 2 == 0:  # kernels decay, biases do not
                weight.assign(weight * chunk.kept)
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=self._means[number].handle,
                v=self._squares[number].handle,
                beta1_power=_BETAS[0] ** step,
                beta2_power=_BETAS[1] ** step,
                lr=chunk.rate,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                epsilon=_EPSILON,
                grad=gradients[number],
            )


def _partners(batch, sizes):
    """[p, batch] places of the sample before each one, and of the one after it; blank samples are their own."""
    places, sizes = tf.range(batch)[None], sizes[:, None]
    before = tf.where(places == 0, sizes - 1, places - 1)
    after = tf.where(places == sizes - 1, 0, places + 1)
    return tf.where(places < sizes, before, places), tf.where(places < sizes, after, places)


def _mix(values, partners, share):
    """Mixtures of values [p, batch, k] and their partners', by share [p, 1, 1]."""
    return share * values + (1 - share) * tf.gather(values, partners, batch_dims=1)
