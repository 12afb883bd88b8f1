"""Draws features of each class from a generator until as many are accepted as are wanted.

The paper (4.2.2) keeps those generated features whose class the discriminator's auxiliary classifier predicts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from rembrandt_featgen.generation.encoded_gan import EncodedGAN
from rembrandt_featgen.generation.gan import GAN, Judge


@dataclasses.dataclass
class Tally:
    """Counts of one class, which grow while features are drawn.

    Attributes:
      generated: features that were drawn.
      accepted: those of them that the judge accepted.
      kept: those of them that were asked for.
    """

    generated: int = 0
    accepted: int = 0
    kept: int = 0

    @property
    def rate(self) -> float:
        """The acceptance rate."""
        return self.accepted / self.generated


def accepted_features(
    generator: GAN | EncodedGAN,
    judge: Judge,
    tallies: Sequence[Tally],
    *,
    wanted: int,
    tries: int,
    batch: int,
    seed: int,
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yields accepted features, the classes alternating for as long as there are features of each.

    Args:
      generator: what draws.
      judge: accepts or refuses what was generated; `generator.accepted`, or any other.
      tallies: one for each class, in order of labels.
      wanted: features of each class.
      tries: times `wanted` that are generated at most; 1 generates that many and keeps those that are accepted.
      batch: features in a batch.
      seed: of the noise, which is another stream than that of training.

    Yields:
      Number within its class from 0 on, label, and feature [h, w, channels].
    """
    streams = [
        _of_class(
            generator,
            judge,
            label,
            tally=tally,
            streams=len(tallies),
            most=wanted * tries,
            batch=batch,
            seed=seed,
        )
        for label, tally in enumerate(tallies)
    ]
    for position in range(wanted):
        for label, stream in enumerate(streams):
            feature = next(stream, None)
            if feature is not None:
                tallies[label].kept += 1
                yield position, label, feature


def _of_class(
    generator: GAN | EncodedGAN,
    judge: Judge,
    label: int,
    *,
    tally: Tally,
    streams: int,
    most: int,
    batch: int,
    seed: int,
) -> Iterator[np.ndarray]:
    """Yields each accepted feature of a class, of `most` that are generated at most."""

    @tf.function
    def draw(step):
        # one stream of seeds for each class
        noise = generator.noise(batch, [seed + 1, step * streams + label])
        return generator.draw(noise, tf.fill([batch], label), judge)

    for step in range(-(-most // batch)):
        features, accepted = (tensor.numpy()[: most - tally.generated] for tensor in draw(tf.constant(step)))
        tally.generated += len(accepted)
        tally.accepted += int(np.sum(accepted))
        yield from features[accepted]
