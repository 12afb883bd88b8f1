"""What the heads of a discriminator say, the losses that follow, and what is logged; see `gan_networks`."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from rembrandt_featgen.generation import gan_losses
from rembrandt_featgen.generation.gan_networks import CLASS_HEAD, GENERATED_CLASS_HEAD

Heads = Mapping[str, tf.Tensor]


def source_logits(heads: Heads, labels: tf.Tensor) -> tf.Tensor:
    """D's logits [batch, 1] of "real"; under each sample's label [batch] where D is projection-conditioned."""
    logits = heads["source"]
    return logits if logits.shape[-1] == 1 else tf.gather(logits, labels[:, tf.newaxis], batch_dims=1)


def is_of_label(heads: Heads, labels: tf.Tensor) -> tf.Tensor:
    """Whether the auxiliary classifier predicts the labels [batch], [batch] bool.

    One that tells sources apart says of which class a sample would be if it were real.
    """
    return tf.equal(tf.argmax(heads[CLASS_HEAD], -1, labels.dtype), labels)


def source_loss(heads: Heads, labels: tf.Tensor, *, real: bool) -> tf.Tensor:
    """`gan_losses.source_term` of samples that are held to be real, or not."""
    return gan_losses.source_term(source_logits(heads, labels), real)


def class_loss(heads: Heads, labels: tf.Tensor, *, kind: str, real: bool) -> tf.Tensor | float:
    """D's class term, of a kind of `gan_losses.CLASS_LOSSES`; 0 where D has no auxiliary classifier.

    Args:
      heads, labels: of samples [batch].
      kind: one of `gan_losses.CLASS_LOSSES`.
      real: whether the samples are real; it matters to a classifier that tells sources apart alone.
    """
    if CLASS_HEAD not in heads:
        return 0.0
    logits = heads[CLASS_HEAD]
    if GENERATED_CLASS_HEAD in heads:
        labels = labels if real else labels + logits.shape[-1]
        logits = tf.concat([logits, heads[GENERATED_CLASS_HEAD]], -1)
    return gan_losses.CLASS_LOSSES[kind](labels, logits)


def generator_class_loss(heads: Heads, labels: tf.Tensor, *, kind: str) -> tf.Tensor | float:
    """G's class term: what D would lose if the samples were real; less what it loses, if it tells sources apart.

    The difference is -E[log P(real, c | x) - log P(generated, c | x)], whose expectation under the best classifier is
    the Kullback-Leibler divergence of generated samples and classes from real ones (Hou et al. 2022).
    """
    loss = class_loss(heads, labels, kind=kind, real=True)
    return loss - class_loss(heads, labels, kind=kind, real=False) if GENERATED_CLASS_HEAD in heads else loss


def information_loss(heads: Heads, noise: tf.Tensor) -> tf.Tensor | float:
    """`gan_losses.information_term` of the codes that end the noise [batch, latent]; 0 where there are none."""
    if "code_mean" not in heads:
        return 0.0
    codes = noise[:, -heads["code_mean"].shape[-1] :]
    return gan_losses.information_term(codes, heads["code_mean"], heads["code_deviation"])


def logged(source: str, heads: Heads, labels: tf.Tensor) -> dict[str, tf.Tensor]:
    """Probability of being real, and whether the predicted class is right, of each sample.

    Args:
      source: "real" or "fake", with which the names begin.
      heads: of the samples.
      labels: [batch] of the samples.
    """
    values = {f"{source}_source": tf.sigmoid(source_logits(heads, labels))}
    if CLASS_HEAD in heads:
        values[f"{source}_class_accuracy"] = tf.cast(is_of_label(heads, labels), tf.float32)
    return values
