"""One network of maps in memory, its optimizer and the graph of its epoch, lent to one training after another.

A network and its epoch are traced once for each architecture and used again by every later training: what differs
between arms (samples, weights, focusing, mixing) goes in as tensors, weights and optimizer are set back.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import map_networks, training_problems
from rembrandt_featgen.classification.map_networks import Architecture
from rembrandt_featgen.nn import mixed_precision

_CHUNK = 128  # features that are predicted at a time
# Fixed, for Keras' dynamic one cannot be set back; gradients of a mean loss stay far below 65504 / 1024.
_FLOAT16_LOSS_SCALE = 1024.0
NOWHERE = -1  # block before which a step that mixes nothing mixes


@dataclasses.dataclass(frozen=True)
class Mixing:
    """Where and how pairs of samples are mixed.

    Attributes:
      places: blocks, from 0, whose inputs may be mixed; each step draws one. () mixes nothing.
      alpha: of the Beta(alpha, alpha) from which each step's share is drawn.
    """

    places: tuple[int, ...] = ()
    alpha: float = 1.0


def weighted_focal_loss(logits: tf.Tensor, targets: tf.Tensor, focusing) -> tf.Tensor:
    """Mean over samples of sum_c -t_c (1 - p_c)^gamma log p_c, where p_c is the probability of class c.

    Args:
      logits: [batch, 1] float32, of the positive class of two; [batch, classes] of more.
      targets: [batch, classes] from 0: the weight of the sample in the column of its class; of mixed samples, in two.
      focusing: gamma, from 0; 0 leaves weighted cross-entropy.

    Returns:
      float32 scalar.

    Reference: Lin et al., Focal Loss for Dense Object Detection, 2017, eq. (4); without alpha.
    """
    if logits.shape[-1] == 1:
        logit = logits[:, 0]
        # -log p and -log(1 - p), so that 1 - p = e^-negative
        positive, negative = tf.math.softplus(-logit), tf.math.softplus(logit)
        positive, negative = positive * tf.exp(-focusing * negative), negative * tf.exp(-focusing * positive)
        return tf.reduce_mean(targets[:, 1] * positive + targets[:, 0] * negative)
    log_p = tf.nn.log_softmax(logits)
    # (1 - p)^gamma by way of its logarithm, for which 1 - p must not be 0
    others = tf.math.log(tf.maximum(-tf.math.expm1(log_p), 1e-30))
    return tf.reduce_mean(tf.reduce_sum(-targets * tf.exp(focusing * others) * log_p, axis=1))


def mix(x: tf.Tensor, share) -> tf.Tensor:
    """Mixes each sample of a batch with the one before it: share * sample + (1 - share) * other.

    In a batch in random order that is a random partner, as in mixup (Zhang et al. 2018), never the sample itself.
    """
    share = tf.cast(share, x.dtype)
    return share * x + (1 - share) * tf.roll(x, 1, 0)


@functools.lru_cache(maxsize=4)
def fitter(architecture: Architecture) -> Fitter:
    """The one `Fitter` of an architecture."""
    return Fitter(architecture)


class Fitter:
    """A network on scaled features, its optimizer and its traced epoch.

    It is lent to one training after another: `reset`, then `epoch` as often as wanted.
    """

    def __init__(self, architecture: Architecture):
        self._blocks = map_networks.build_blocks(architecture)
        self.places = tuple(range(len(self._blocks)))
        layers = list(itertools.chain(*self._blocks))
        x = tf.zeros((1, *architecture.shape))
        for layer in layers:
            x = layer(x)
        self._weights = [weight for layer in layers for weight in layer.weights]
        self._trainable = [weight for layer in layers for weight in layer.trainable_weights]
        self._initial = [weight.numpy() for weight in self._weights]
        self._loss_scale = _FLOAT16_LOSS_SCALE if architecture.precision == "float16" else 1.0
        self._optimizer = mixed_precision.adam(1e-3)  # `reset` sets the rate
        self._optimizer.apply_gradients([(tf.zeros_like(weight), weight) for weight in self._trainable])
        self._num_classes = architecture.num_classes
        features = tf.TensorSpec([None, *architecture.shape], tf.float32)
        targets = tf.TensorSpec([None, architecture.num_classes], tf.float32)
        floats, integers = tf.TensorSpec([None], tf.float32), tf.TensorSpec([None], tf.int32)
        scalar = tf.TensorSpec([], tf.float32)
        self._epoch = tf.function(
            self._run_epoch,
            [features, targets, integers, floats, integers, tf.TensorSpec([], tf.int32), scalar],
        )
        self._predict = tf.function(lambda x: self._forward(x), [features])

    def reset(self, seed: int, learning_rate: float) -> None:
        """Sets weights to the draw of `seed`, and the optimizer to its start."""
        self.set_weights(self.initial_weights(seed))
        for variable in self._optimizer.variables():
            variable.assign(tf.zeros_like(variable))
        self._optimizer.learning_rate = learning_rate

    def initial_weights(self, seed: int) -> list[np.ndarray]:
        """Weights before training: kernels by Glorot and Bengio (2010), all else as Keras has it."""
        return [
            tf.keras.initializers.GlorotUniform(1000 * seed + number)(value.shape).numpy() if value.ndim > 1 else value
            for number, value in enumerate(self._initial)
        ]

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights, in the order of `map_networks.build_classifier`'s."""
        return [weight.numpy() for weight in self._weights]

    def set_weights(self, values) -> None:
        """Takes what `get_weights` gave."""
        for weight, value in zip(self._weights, values):
            weight.assign(value)

    def epoch(
        self,
        features: tf.Tensor,
        targets: tf.Tensor,
        *,
        batch: int,
        focusing: float,
        mixing: Mixing,
        random: np.random.Generator,
        seen: int | None = None,
    ) -> float:
        """Sees some samples, in batches of at most `batch` and of nearly the same size.

        Args:
          features: [n, *shape] float32, scaled.
          targets: [n, classes] float32, see `weighted_focal_loss`.
          batch: samples in a batch.
          focusing: gamma of the focal loss; 0 is cross-entropy.
          mixing: of the training.
          random: draws order, dropout and mixing.
          seen: how many samples; None sees all of them, each once.

        Returns:
          Mean of the batches' losses.
        """
        seen = len(targets) if seen is None else seen
        steps = -(-seen // batch)
        shares, places = np.ones(steps), np.full(steps, NOWHERE)
        order = training_problems.epoch_order(len(targets), seen, random)
        seed = random.integers(2**31 - 1)
        if mixing.places:
            shares, places = random.beta(mixing.alpha, mixing.alpha, steps), random.choice(mixing.places, steps)
        return float(
            self._epoch(
                features,
                targets,
                tf.constant(order, tf.int32),
                tf.constant(shares, tf.float32),
                tf.constant(places, tf.int32),
                tf.constant(seed, tf.int32),
                tf.constant(focusing, tf.float32),
            )
        )

    def logits(self, features: tf.Tensor) -> np.ndarray:
        """[n, classes] float64 for scaled features [n, *shape], with the present weights; of two the first are 0."""
        parts = [self._predict(features[i : i + _CHUNK]).numpy() for i in range(0, len(features), _CHUNK)]
        width = 1 if self._num_classes == 2 else self._num_classes
        values = np.concatenate([np.zeros((0, width), np.float64), *parts])
        return np.concatenate([np.zeros_like(values), values], axis=1) if width == 1 else values

    def _run_epoch(self, features, targets, order, shares, places, seed, focusing):
        steps, n, total = tf.shape(shares)[0], tf.shape(order)[0], 0.0
        for step in tf.range(steps):
            rows = order[step * n // steps : (step + 1) * n // steps]
            total += self._step(
                tf.gather(features, rows),
                mix(tf.gather(targets, rows), shares[step]),
                share=shares[step],
                place=places[step],
                seed=tf.stack([seed, step]),
                focusing=focusing,
            )
        return total / tf.cast(steps, tf.float32)

    def _step(self, x, targets, *, share, place, seed, focusing):
        """One step down the gradient; returns the loss."""
        with tf.GradientTape() as tape:
            logits = self._forward(x, share=share, place=place, seed=seed)
            loss = weighted_focal_loss(logits, targets, focusing)
            scaled = loss * self._loss_scale
        gradients = [gradient / self._loss_scale for gradient in tape.gradient(scaled, self._trainable)]
        self._optimizer.apply_gradients(zip(gradients, self._trainable))
        return loss

    def _forward(self, x, *, share=1.0, place=NOWHERE, seed=None):
        """Logits [batch, 1 or classes]; in training mode if there is a seed."""
        training = seed is not None
        for number, block in enumerate(self._blocks):
            if training:
                x = _mix_if(tf.equal(place, number), x, share)
            for layer in block:
                if not isinstance(layer, tf.keras.layers.Dropout):
                    x = layer(x, training=training)
                elif training:
                    # Keras' dropout would resume from where the last training left its state.
                    seed = seed + (0, 1_000_003)
                    x = tf.nn.experimental.stateless_dropout(x, layer.rate, seed)
        return x


def _mix_if(here, x, share):
    return tf.cond(here, lambda: mix(x, share), lambda: x)
