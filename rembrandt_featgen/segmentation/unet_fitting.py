"""How a U-Net is trained: loss, optimizer, budget, data and callbacks, as the flags of train_unet have them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines, truth
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.nn import mixed_precision, optimizers, replicated, resumable_fit, sharding
from rembrandt_featgen.nn.checkpointing import Checkpointing
from rembrandt_featgen.segmentation import class_aware, collapse, losses, unet_callbacks

DICE = {"batch": losses.batch_soft_dice_loss, "slice": losses.soft_dice_loss}
LOSSES = ("dice", "dice_ce")
OPTIMIZERS = ("adam", "adamw")
MONITORS = ("volume_dice", "iou")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a U-Net is trained by: the flags of train_unet of the same names, after "unet_".

    `norm`, `loss`, `optimizer`, `monitor` and `sampling` are of `unet.NORMS`, `LOSSES`, `OPTIMIZERS`, `MONITORS` and
    `pipelines.SAMPLINGS`, `dice_over` a key of `DICE`; `augmentation` is None for slices as they are.
    """

    norm: str
    epochs: int
    steps: int
    validate_every: int
    batch: int
    half_size: float
    sampling: str
    augmentation: str | None
    loss: str
    dice_over: str
    warmup_steps: int
    class_weight: float
    optimizer: str
    learning_rate: float
    weight_decay: float
    schedule: str
    monitor: str
    patience: int
    precision: str
    seed: int


class Budget(NamedTuple):
    """How long training is: `epochs` of `steps` batches, the first `half_epochs` of slices of half the size.

    `draws` are the slices of an epoch; None where it has each once.
    """

    steps: int
    epochs: int
    half_epochs: int
    draws: int | None


def steps_and_epochs(count: int, *, batch: int, epochs: int, steps: int, validate_every: int) -> tuple[int, int]:
    """Steps of an epoch, and epochs, of `count` training slices; how they are sampled changes neither.

    Args:
      count: training slices.
      batch, epochs, steps, validate_every: of `Recipe`; `epochs` has no part in it where there are `steps`.
    """
    if not steps:
        return pipelines.steps_per_epoch(count, batch), epochs
    of_epoch = min(validate_every, steps)
    return of_epoch, math.ceil(steps / of_epoch)


def budget(recipe: Recipe, slices: Path, kept: np.ndarray | None = None) -> Budget:
    """What --unet_epochs or --unet_steps, and --unet_half_size come to.

    Args:
      recipe: of the training.
      slices: folder of the stage prepare_slices.
      kept: [n] bool, the training slices that are learnt from; the steps are fewer in proportion. None for all.

    Raises:
      InputError: slices of the size, or of half of it, would be of none that the network takes or can learn from.
    """
    store = Store(slices, "train")
    count = len(store) if kept is None else int(kept.sum())
    steps, epochs = steps_and_epochs(
        count,
        batch=recipe.batch,
        epochs=recipe.epochs,
        steps=math.ceil(recipe.steps * count / len(store)),
        validate_every=recipe.validate_every,
    )
    _check_size(recipe, store.tensors["image"][0][:2])
    draws = None if _takes_each_once(recipe) else steps * recipe.batch
    half_epochs = round(recipe.half_size * epochs)
    if recipe.half_size < 1:  # rounded, the share of a few epochs may be all, and the network never see whole slices
        half_epochs = min(half_epochs, epochs - 1)
    return Budget(steps, epochs, half_epochs, draws=draws)


def check_batches(
    where: tf.distribute.Strategy, recipe: Recipe, slices: Path, *, left_out: Sequence[Collection[str]] = ((),)
) -> None:
    """InputError where batches have no slice for each replica.

    Args:
      where: the strategy.
      recipe: of the trainings.
      slices: folder of the stage prepare_slices.
      left_out: of each training, the training patients that it does without.
    """
    patients, labelled = Store(slices, "train").patients, len(Store(slices, "validation"))
    for without in left_out:
        count = sum(patient not in without for patient in patients)
        sharding.check_batches(
            where,
            "--unet_batch",
            recipe.batch,
            count=count if _takes_each_once(recipe) else None,
            validation=labelled if recipe.class_weight else None,
        )


def _takes_each_once(recipe) -> bool:
    """Whether an epoch has each slice once, and not so many batches."""
    return not recipe.steps and recipe.sampling != "patients"


def _check_size(recipe, size) -> None:
    """Refuses slices, or half-size ones, that poolings or instance norm cannot be done with."""
    shown, half = f"slices of {size[0]} x {size[1]} pixels", f"--unet_half_size={recipe.half_size:g}"
    if recipe.half_size and any(length % 32 for length in size):
        raise InputError(
            f"{half} halves {shown}, which leaves no multiple of 16; take an --image_size that is a multiple of 32 and "
            "prepare the slices again, or --unet_half_size=0"
        )
    least = 64 if recipe.half_size else 32
    if recipe.norm == "instance" and min(size) < least:
        raise InputError(
            f"--unet_norm=instance with {half} takes {least} x {least} or more, not {shown}: it leaves nothing "
            "of the deepest maps' one pixel; take a larger --image_size, another --unet_norm or --unet_half_size=0"
        )


def fit(
    unet: tf.keras.Model,
    recipe: Recipe,
    *,
    slices: Path,
    folder: Path,
    logs: Path,
    weights: np.ndarray | None,
    initial_weights: Callable[[int], Sequence[np.ndarray]],
    kept: np.ndarray | None = None,
    title: str = "U-Net",
    extra: Sequence[tf.keras.callbacks.Callback] = (),
) -> dict:
    """Trains a U-Net, from wherever it was interrupted, and leaves it with the weights of its best epoch.

    Args:
      unet: as training starts.
      recipe: of the training.
      slices: folder of the stage prepare_slices.
      folder: gets best.npz and history.json, and what a killed training resumes from.
      logs: of TensorBoard.
      weights: of `class_aware.class_weights`.
      initial_weights: from the number of a collapse, from 1, to weights to begin again from.
      kept: [n] bool, the training slices that are learnt from; None for all.
      title: of the progress bar.
      extra: more callbacks.

    Returns:
      What `resumable_fit.fit` returns, and "collapses", see `collapse.records`.

    Raises:
      InputError: the validation slices have no tumour to choose the best epoch by; or see `budget`, `Collapse`.
    """
    length = budget(recipe, slices, kept)
    if recipe.monitor == "volume_dice" and not truth.areas(slices, "validation").any():
        raise InputError(
            "--unet_monitor=volume_dice: the validation patients have no tumour to choose the best epoch by; take "
            "--unet_monitor=iou, or a larger --validation_fraction"
        )
    help = unet_callbacks.CrossEntropyHelp(
        DICE[recipe.dice_over], recipe.warmup_steps, throughout=recipe.loss == "dice_ce"
    )
    network, pairs = replicated.replicated(unet, recipe.seed), None
    if weights is not None:
        network = class_aware.ClassAware(unet, weight=recipe.class_weight, class_weights=weights, seed=recipe.seed)
        pairs = pipelines.labelled_slice_pairs(slices, "validation", recipe.batch)  # for the head's measures
    rate, optimizer = _optimizer(recipe, length.steps * length.epochs, network.trainable_variables)
    measures = [losses.soft_dice_loss, losses.hard_dice, losses.iou, losses.TumourFound()]
    network.compile(optimizer, help.loss, measures)
    optimizers.make_variables(network, tf.zeros([1, 16, 16, 1]), tf.zeros([1, 16, 16, 1]))
    checkpointing = Checkpointing(
        folder,
        network,
        monitor=f"val_{recipe.monitor}",
        patience=recipe.patience,
        barred=collapse.COLLAPSED,
        restarts=(collapse.COLLAPSES, collapse.MOST),
    )
    help.resume(length.steps * checkpointing.epochs_done)
    recovery = collapse.Collapse(
        checkpointing,
        steps=length.steps,
        epochs=length.epochs,
        rate=rate,
        help=help,
        initial_weights=initial_weights,
    )
    validation = unet_callbacks.Validation(unet, help.loss, folder=slices, batch=recipe.batch)
    order = pipelines.training_order(slices, sampling=recipe.sampling, draws=length.draws, kept=kept)
    whole, halves = (
        pipelines.training_slices(
            slices,
            recipe.batch,
            recipe.augmentation,
            order=order,
            half_size=half_size,
            labelled=weights is not None,
        )
        for half_size in (False, True)
    )
    trained = resumable_fit.fit(
        network,
        make_epoch=whole,
        steps=length.steps,
        epochs=length.epochs,
        validation=pairs,
        checkpointing=checkpointing,
        logs=logs,
        title=title,
        seed=recipe.seed,
        extra=[help, validation, recovery, *extra],
        first_epochs=(length.half_epochs, halves) if length.half_epochs else None,
    )
    collapse.warn_of_nothing_found(checkpointing)
    return {**trained, "collapses": collapse.records(checkpointing)}


def _optimizer(recipe, steps, variables):
    """Learning rate by step, and what takes the steps."""
    warmup_steps = math.ceil(optimizers.WARMUP * steps) if recipe.optimizer == "adamw" else 0
    rate = optimizers.schedule(recipe.schedule, recipe.learning_rate, steps, warmup_steps=warmup_steps)
    if recipe.optimizer == "adamw":
        optimizer = optimizers.adamw(rate, variables, weight_decay=recipe.weight_decay)
    else:
        optimizer = mixed_precision.adam(rate)
    return rate, mixed_precision.scaled(optimizer, recipe.precision)
