"""Draws features of each class from a generator until as many are accepted as are wanted.

The paper (4.2.2) keeps those generated features whose class the discriminator's auxiliary classifier predicts. That
says that generator and discriminator agree; a judge that no generator was trained against says of which class they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from rembrandt_featgen.generation.encoded_gan import EncodedGAN
from rembrandt_featgen.generation.gan import GAN

# From features [n, *shape], as they are to be used, to probabilities [n, classes].
Judge = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass
class Tally:
    """Counts of one class, which grow while features are drawn.

    Attributes:
      generated: features that were drawn.
      accepted: those of them that were accepted.
      kept: those of them that were asked for.
      by_discriminator: those of the generated ones that the discriminator accepts; all, where it can refuse none.
      probability: sum over the generated ones of what the judge gave their class; 0 without a judge.
    """

    generated: int = 0
    accepted: int = 0
    kept: int = 0
    by_discriminator: int = 0
    probability: float = 0.0

    @property
    def rate(self) -> float:
        """The acceptance rate."""
        return self.accepted / self.generated


def accepted_features(
    generator: GAN | EncodedGAN,
    judge: Judge | None,
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
      judge: accepts what it finds most probably of the class that was asked for; None leaves that to the
        discriminator's auxiliary classifier, where it can refuse. Slices of a generator of slices are seen by the
        discriminator, and their features by a judge.
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
    judge: Judge | None,
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
        return generator.draw(noise, tf.fill([batch], label))

    for step in range(-(-most // batch)):
        features, accepted = (tensor.numpy()[: most - tally.generated] for tensor in draw(tf.constant(step)))
        tally.generated += len(accepted)
        tally.by_discriminator += int(np.sum(accepted))
        if judge is not None:
            probabilities = judge(features)
            accepted = probabilities.argmax(-1) == label
            tally.probability += float(np.sum(probabilities[:, label]))
        tally.accepted += int(np.sum(accepted))
        yield from features[accepted]
