"""The U-Net as its training began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen.segmentation import pretrained
from rembrandt_featgen.segmentation.unet import build_unet

_PRETRAINING_RATE = 1e-4  # paper 4.1


def head_prior(initializer: str, slices: Mapping) -> float | None:
    """What the head predicts at first: the tumour's share of the pixels; None for the
    reference implementation, whose biases are all 0.

    Args:
      initializer: one of `unet.INITIALIZERS`.
      slices: figures of the stage prepare_slices, from its stage.json.
    """
    return None if initializer == "tensorlayer" else min(max(slices["tumour_prior"], 1e-4), 0.5)


def unet(
    config: Mapping, slices: Mapping, arrays: Sequence[np.ndarray] | None = None, *, precision: str = "float32"
) -> tf.keras.Model:
    """Builds what training starts from.

    Args:
      config: of the stage train_unet, from its stage.json.
      slices: figures of the stage prepare_slices, from its stage.json.
      arrays: of the checkpoint of --unet_weights; None for random weights, which the seed gives back.
      precision: in which it computes.

    Raises:
      ValueError: the arrays are of another network.
    """
    tf.keras.utils.set_random_seed(config["seed"])
    network = build_unet(
        len(slices["channels"]),
        config["unet_width"],
        initializer=config["unet_initializer"],
        prior=head_prior(config["unet_initializer"], slices),
        precision=precision,
        norm=config.get("unet_norm", "none"),  # which records of before lack
    )
    if arrays is not None:
        adapted = pretrained.assign(network, arrays, slices["channels"], given=config["unet_weights_modalities"])
        logging.info("U-Net: starts from the weights of %s, %s", config["unet_weights"], adapted)
    return network


def warn_of_rate(rate: float) -> None:
    """Says that a learning rate is too low to start from random weights."""
    if rate < _PRETRAINING_RATE:
        logging.warning(
            "U-Net: starts from random weights at --unet_learning_rate=%g, which is for fine-tuning; give "
            "--unet_weights, or %g (the paper's to pre-train) or more",
            rate,
            _PRETRAINING_RATE,
        )
