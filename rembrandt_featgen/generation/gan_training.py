"""Training of GANs: how one is compiled, and how one is trained on maps in memory, for a task of a study."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from rembrandt_featgen.data import pipelines
from rembrandt_featgen.features import scaling, streams
from rembrandt_featgen.generation.gan import GAN, build_gan
from rembrandt_featgen.generation.gan_spec import GanSpec
from rembrandt_featgen.nn import mixed_precision

STEPS_PER_EXECUTION = 8  # those of small networks are short: a tenth to a fifth faster than one by one
_BATCH = 64  # maps at a time, of which the scale is learnt


@dataclasses.dataclass(frozen=True)
class GanTraining:
    """How a GAN is trained in memory; what it is says `GanSpec`.

    Attributes:
      steps: of both networks.
      filters_generator, filters_discriminator, precision: as of `GanSpec`.
      batch: real maps in a batch, all classes equally often.
      learning_rate, beta1: of Adam, for both networks.
    """

    steps: int = 800
    filters_generator: int = 64
    filters_discriminator: int = 64
    batch: int = 16
    learning_rate: float = 2e-4
    beta1: float = 0.5
    precision: str = "float32"

    def spec(self, kind: str, shape: tuple[int, ...], *, num_classes: int, seed: int) -> GanSpec:
        """Of a kind of GAN; what is not said here is as `GanSpec` has it."""
        return GanSpec(
            kind,
            shape,
            num_classes,
            filters_generator=self.filters_generator,
            filters_discriminator=self.filters_discriminator,
            precision=self.precision,
            seed=seed,
        )


def compiled(
    spec: GanSpec, scale: np.ndarray, lowest: np.ndarray | float, *, learning_rate: float, beta1: float
) -> GAN:
    """Builds a GAN, ready to be trained.

    Args:
      spec, scale, lowest: as for `build_gan`.
      learning_rate, beta1: of Adam, for both networks.
    """
    gan = build_gan(spec, scale, lowest)
    gan.compile(
        mixed_precision.adam(learning_rate, beta1),
        mixed_precision.adam(learning_rate, beta1),
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    return gan


def train(features: np.ndarray, labels: np.ndarray, spec: GanSpec, *, training: GanTraining, signed: bool) -> GAN:
    """Trains a GAN on maps in memory, as the stage train_generators does on those of a run.

    What comes is a function of the arguments alone, whatever was trained before in the process: the global random
    numbers of Python, NumPy and TensorFlow start anew, and so do Keras' counters of names, by whose order gradients are
    summed.

    Args:
      features: [n, height, width, channels] of training patients.
      labels: [n] int64; a class that has none is asked for by G, and never seen by D.
      spec: the settings; its seed is that of everything.
      training: of the networks.
      signed: whether values below 0 are possible: then each channel is measured from its lowest value.
    """
    tf.keras.backend.reset_uids()
    tf.keras.utils.set_random_seed(spec.seed % 2**31)
    batches = [{"feature": features[start : start + _BATCH]} for start in range(0, len(features), _BATCH)]
    lowest = scaling.lowest(batches) if signed else 0.0
    gan = compiled(
        spec,
        scaling.root_mean_square(batches, lowest),
        lowest,
        learning_rate=training.learning_rate,
        beta1=training.beta1,
    )
    # whole executions: of one that is cut off at the end, the graph would be traced again
    steps = -(-training.steps // STEPS_PER_EXECUTION) * STEPS_PER_EXECUTION
    epochs = streams.balanced_maps(features, labels, training.batch)
    gan.fit(pipelines.endless(epochs, spec.seed), steps_per_epoch=steps, epochs=1, verbose=0)
    return gan
