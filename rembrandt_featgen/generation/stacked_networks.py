"""Small dense networks of many trainings at once: each weight of all of them is one variable with a draw axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

Weights = list  # kernel [p, in, out], bias [p, 1, out] and so on, layer by layer
_EPSILON = 1e-8  # of Adam


def forward(weights: Weights, values: tf.Tensor) -> tf.Tensor:
    """[p, batch, out] of values [p, batch, in]; leaky rectifiers between layers."""
    last = len(weights) - 2
    for number in range(0, len(weights), 2):
        values = tf.matmul(values, weights[number]) + weights[number + 1]
        if number < last:
            values = tf.nn.leaky_relu(values, 0.2)
    return values


def initial_weights(sizes: Sequence[int], random: np.random.Generator, *, from_zero: bool = False) -> list[np.ndarray]:
    """Weights of one network: kernels of Glorot and Bengio (2010), biases 0.

    Args:
      sizes: of its input, its hidden layers and its output.
      random: what draws.
      from_zero: whether the last kernel is 0, so that at the start the output is.
    """
    weights: list[np.ndarray] = []
    for number, (before, after) in enumerate(zip(sizes, sizes[1:])):
        bound = 0.0 if from_zero and number == len(sizes) - 2 else math.sqrt(6.0 / (before + after))
        kernel = random.uniform(-bound, bound, (before, after))
        weights += [kernel.astype(np.float32), np.zeros((1, after), np.float32)]
    return weights


class Networks:
    """Named networks of p trainings, with Adam's moments; lent to one chunk of trainings after another.

    Args:
      layers: number of layers by name.

    Attributes:
      weights: variables by name, of any sizes.
    """

    def __init__(self, layers: Mapping[str, int]):
        self.weights, self._means, self._squares = (
            {name: [_variable() for _ in range(2 * count)] for name, count in layers.items()} for _ in range(3)
        )

    def reset(self, initial: Sequence[Mapping[str, list[np.ndarray]]]) -> None:
        """Takes the weights of each training, and sets the optimizer to its start."""
        for name, variables in self.weights.items():
            for number, variable in enumerate(variables):
                value = np.stack([one[name][number] for one in initial])
                variable.assign(value)
                self._means[name][number].assign(np.zeros_like(value))
                self._squares[name][number].assign(np.zeros_like(value))

    def arrays(self) -> list[dict[str, list[np.ndarray]]]:
        """The weights of each training."""
        stacked = {name: [variable.numpy() for variable in variables] for name, variables in self.weights.items()}
        count = len(next(iter(stacked.values()))[0])
        return [{name: [value[k] for value in values] for name, values in stacked.items()} for k in range(count)]

    def descend(
        self,
        tape: tf.GradientTape,
        loss: tf.Tensor,
        names: Sequence[str],
        *,
        step: tf.Tensor,
        rate: tf.Tensor,
        decay: tf.Tensor,
        betas: tuple[float, float],
    ) -> None:
        """A step of Adam with decoupled weight decay of kernels.

        Args:
          tape: that saw the loss.
          loss: [p], each of the weights of one training alone.
          names: of the networks that take the step.
          step: number of this step of theirs, from 1, float32.
          rate: learning rate.
          decay: of kernels, in units of the rate.
          betas: decay of Adam's moments.
        """
        variables = [variable for name in names for variable in self.weights[name]]
        moments = [pair for name in names for pair in zip(self._means[name], self._squares[name])]
        gradients = tape.gradient(loss, variables)
        for number, (variable, (mean, square)) in enumerate(zip(variables, moments)):
            if number % 2 == 0:  # kernels decay, biases do not
                variable.assign(variable * (1 - decay * rate))
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=betas[0] ** step,
                beta2_power=betas[1] ** step,
                lr=rate,
                beta1=betas[0],
                beta2=betas[1],
                epsilon=_EPSILON,
                grad=gradients[number],
            )


def _variable():
    return tf.Variable(tf.zeros([1, 1, 1]), shape=[None, None, None])
