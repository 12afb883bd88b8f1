"""Trains the U-Net to segment the tumour, with soft-dice loss and the augmentations of the paper's Table 1.

The best epoch by validation IOU is kept. A run that was killed resumes after its last epoch. Training starts from
random weights, or from those of a checkpoint (--unet_weights), such as the paper's from BraTS.

With --unet_class_weight the U-Net learns the training patients' classes, too. The best epoch is still that of the
masks: the classes of validation patients are to choose amounts and thresholds in later stages, which they could not
fairly do had they chosen the features as well; and runs with and without the flag stay comparable.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import splits
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines, truth
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.interpretation import overlays, samples
from rembrandt_featgen.nn import inference, mixed_precision, resumable_fit, tensorboard
from rembrandt_featgen.nn.checkpointing import Checkpointing
from rembrandt_featgen.segmentation import (
    class_aware,
    initial,
    losses,
    postprocessing,
    pretrained,
    scoring,
    tensorlayer_files,
    unet_callbacks,
)
from rembrandt_featgen.segmentation.unet import INITIALIZERS, build_unet
from rembrandt_featgen.stages import shared_flags

_DICE = {"batch": losses.batch_soft_dice_loss, "slice": losses.soft_dice_loss}
_MEASURES = [losses.soft_dice_loss, losses.hard_dice, losses.iou, losses.sensitivity]
PRETRAINING_RATE = 1e-4  # paper 4.1


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    seed: int = shared_flags.seed()
    precision: str = shared_flags.precision()
    unet_width: int = cli.flag(
        64, "Filters of the first block; each deeper one doubles them.", minimum=1, source="paper 3.1"
    )
    unet_initializer: str = cli.flag(
        "he",
        "Initial weights: 'tensorlayer' is the reference implementation's, whose signal dies out below width 64; "
        "'he' keeps variance, and the head starts at the tumour's share of the pixels.",
        choices=INITIALIZERS,
    )
    unet_weights: str = cli.flag(
        "",
        "Weights to start from: a TensorLayer checkpoint (.npz) of the same --unet_width, or the unet/best.npz of "
        "another run. Without it, training starts from random ones.",
        source="paper 4.1 fine-tunes weights from BraTS",
    )
    unet_weights_modalities: tuple[str, ...] = cli.flag(
        (),
        "Input channels of --unet_weights in their order; those of --modalities are taken from it by name. Without it, "
        "four channels are those of BraTS (flair,t1,t1ce,t2), any other number those of --modalities.",
    )
    unet_epochs: int = cli.flag(30, "Epochs at most.", minimum=1, source="paper 4.1")
    unet_batch: int = cli.flag(10, "Slices in a batch.", minimum=1, source="paper 4.1")
    unet_learning_rate: float = cli.flag(
        1e-3, "Adam's learning rate; the paper takes 1e-5 to fine-tune, 1e-4 to pre-train.", minimum=0.0
    )
    dice_over: str = cli.flag(
        "batch",
        "What eq. (3) counts its pixels over: each slice, as the reference implementation does, or the batch, which "
        "cannot be won by predicting no tumour where many slices have none.",
        choices=tuple(_DICE),
    )
    unet_schedule: str = cli.flag(
        "cosine",
        "How the learning rate falls over --unet_epochs: 'cosine' to zero, or 'constant' as in the paper.",
        choices=("cosine", "constant"),
    )
    unet_patience: int = cli.flag(
        10, "Epochs without a better validation IOU before stopping; 0 never stops.", minimum=0
    )
    unet_warmup_steps: int = cli.flag(
        300,
        "Steps over which a cross-entropy term fades out, so that soft dice cannot stick at 1; 0 for none.",
        minimum=0,
    )
    augment: bool = cli.flag(True, "Whether training slices are augmented.", source="paper, Table 1")
    augmentation: str = shared_flags.augmentation()
    unet_class_weight: float = cli.flag(
        0.0,
        "Weight of the class's cross-entropy beside soft dice: above 0, a head on conv5 learns the class as well, so "
        "that features differ by class (0.3 is a start); 0 is segmentation alone.",
        minimum=0.0,
        source="paper 4.1",
    )
    mirrored_inference: bool = cli.flag(
        False, "Whether a slice's probabilities are the mean of its own and its left-right mirror image's."
    )
    largest_component: bool = cli.flag(False, "Whether only the largest part of a volume's predicted mask is kept.")


def run(config: Config) -> None:
    """Writes run_dir/unet: best.npz, history.json, overlays.npz, and Table 2 in stage.json."""
    prepared, checkpoint = rundir.find(config.run_dir, "prepare_slices"), read_weights(config)
    slices, record = prepared.folder, prepared.record
    digests = {"unet_weights": checkpoint.digest} if checkpoint else {}
    with rundir.open_stage(config, "train_unet", [prepared], digests=digests) as stage:
        if stage.done:
            return
        tf.keras.utils.set_random_seed(config.seed)
        unet = build_unet(
            len(record["figures"]["channels"]),
            config.unet_width,
            initializer=config.unet_initializer,
            prior=initial.head_prior(config.unet_initializer, record["figures"]),
            precision=config.precision,
        )
        if not checkpoint and config.unet_learning_rate < PRETRAINING_RATE:
            logging.warning(
                "U-Net: starts from random weights at --unet_learning_rate=%g, which is for fine-tuning; give "
                "--unet_weights, or %g (the paper's to pre-train) or more",
                config.unet_learning_rate,
                PRETRAINING_RATE,
            )
        if checkpoint:
            _start_from(checkpoint, unet, modalities=record["figures"]["channels"], config=config)
        start = unet_callbacks.CrossEntropyStart(_DICE[config.dice_over], config.unet_warmup_steps)
        steps = pipelines.steps_per_epoch(
            sum(record["figures"]["split"]["train"]["slices"].values()), config.unet_batch
        )
        rate = config.unet_learning_rate
        if config.unet_schedule == "cosine":
            rate = tf.keras.optimizers.schedules.CosineDecay(rate, steps * config.unet_epochs)
        optimizer = mixed_precision.scaled(mixed_precision.adam(rate), config.precision)
        network, training, pairs = unet, pipelines.training_slices, pipelines.slice_pairs
        if config.unet_class_weight > 0.0:
            weights = _class_weights(slices, Classes.of_record(record["classes"]), config)
            network = class_aware.ClassAware(
                unet, weight=config.unet_class_weight, class_weights=weights, seed=config.seed
            )
            training, pairs = pipelines.labelled_training_slices, pipelines.labelled_slice_pairs
        network.compile(optimizer, start.loss, _MEASURES)
        shown = _with_tumour(slices, "validation")
        checkpointing = Checkpointing(stage.path, network, monitor="val_iou", patience=config.unet_patience)
        start.resume(steps * checkpointing.epochs_done)
        trained = resumable_fit.fit(
            network,
            make_epoch=training(slices, config.unet_batch, config.augmentation if config.augment else None),
            steps=steps,
            epochs=config.unet_epochs,
            validation=pairs(slices, "validation", config.unet_batch),
            checkpointing=checkpointing,
            logs=stage.logs,
            title="U-Net",
            seed=config.seed,
            extra=[start, unet_callbacks.SegmentationImages(stage.logs, shown.images, shown.masks[..., np.newaxis])],
        )
        predict = inference.runner(unet)
        predict = postprocessing.mirrored(predict) if config.mirrored_inference else predict
        table = {
            split: scoring.evaluate(
                predict,
                pipelines.slices(slices, split, config.unet_batch),
                truth.truths(slices, split),
                largest_component=config.largest_component,
                in_mm=record["figures"]["spacing"]["real"] and split == "test",
            )
            for split in splits.SPLITS
        }
        overlays.save_overlays(stage.path / "overlays.npz", predict, slices, by_volume=table["test"]["by_volume"])
        tensorboard.complete(stage, segmentation=table, parameters=unet.count_params(), **trained)
        logging.info("U-Net: best epoch %d, test hard dice %.3f", trained["best_epoch"] + 1, table["test"]["hard_dice"])


def read_weights(config) -> tensorlayer_files.Checkpoint | None:
    """What --unet_weights holds, None without it; InputError where it cannot be used."""
    if config.unet_weights:
        return tensorlayer_files.read(Path(config.unet_weights).expanduser())
    if config.unet_weights_modalities:
        raise InputError(
            f"--unet_weights_modalities={','.join(config.unet_weights_modalities)} names the channels of "
            "--unet_weights, which is not given; give both or neither"
        )
    return None


def _start_from(checkpoint, unet, *, modalities, config) -> None:
    """Gives the U-Net the checkpoint's weights, and says what was adapted."""
    try:
        adapted = pretrained.assign(unet, checkpoint.arrays, modalities, given=config.unet_weights_modalities)
    except ValueError as error:
        raise InputError(f"--unet_weights={config.unet_weights}: {error}") from error
    logging.info("U-Net: starts from the weights of %s, %s", config.unet_weights, adapted)


def _class_weights(slices: Path, classes: Classes, config) -> np.ndarray:
    """Weights by label that make classes equal over the training slices with tumour, whose mean weight is 1."""
    counts = pipelines.tumour_slices(slices, "train", classes.count)
    if not counts.all():
        raise InputError(
            f"--unet_class_weight={config.unet_class_weight:g} needs training slices with tumour of every class, "
            f"but there are none of {classes.names[int(counts.argmin())]}; take --unet_class_weight=0"
        )
    return counts.sum() / (float(classes.count) * counts)


def _with_tumour(slices, split):
    """The slice with most tumour of each of the split's first patients."""
    names = dict.fromkeys(Store(slices, split).patients)
    return samples.largest_tumours(slices, split, list(names)[: overlays.SHOWN])


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
