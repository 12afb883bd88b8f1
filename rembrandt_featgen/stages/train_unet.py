"""Trains the U-Net to segment the tumour; flags choose loss, augmentation, optimizer and what slices are drawn by.

The best epoch by the dice of validation volumes (--unet_monitor) is kept. A run that was killed resumes after its last
epoch. Training starts from random weights, or from those of a checkpoint (--unet_weights), such as the paper's from
BraTS. Should it come to predict no tumour any more, it says so and begins again (segmentation/collapse.py).

With --cross_fit=J, J more U-Nets are trained by the same flags and from the same initial weights, each without one
part of the training patients, so that later stages can take features of each training patient from a network that
never saw it, as those of test patients are. Each has (J - 1) / J of the patients and as large a share of the steps:
all of them together cost J times what one U-Net does.

With --unet_class_weight the U-Net learns the training patients' classes, too; that needs --cross_fit, for it has
memorised the classes of patients whom it saw. The best epoch is still that of the
masks: the classes of validation patients are to choose amounts and thresholds in later stages, which they could not
fairly do had they chosen the features as well; and runs with and without the flag stay comparable.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import splits
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.pipelines import SAMPLINGS
from rembrandt_featgen.features import cross_fitting
from rembrandt_featgen.interpretation import overlays, samples
from rembrandt_featgen.nn import distribution, inference, replicated, sharding, tensorboard, worker_stages
from rembrandt_featgen.segmentation import (
    initial,
    postprocessing,
    scoring,
    tensorlayer_files,
    unet_callbacks,
    unet_fitting,
    unet_parts,
    weight_records,
)
from rembrandt_featgen.segmentation.unet import INITIALIZERS, NORMS
from rembrandt_featgen.stages import shared_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    seed: int = shared_flags.seed()
    precision: str = shared_flags.precision()
    device: str = shared_flags.device()
    tf32: bool = shared_flags.tf32()
    jit: bool = shared_flags.jit()
    deterministic: bool = shared_flags.deterministic()
    strategy: str = shared_flags.strategy()
    unet_width: int = cli.flag(
        64, "Filters of the first block; each deeper one doubles them.", minimum=1, source="paper 3.1"
    )
    unet_initializer: str = cli.flag(
        "he",
        "Initial weights: 'tensorlayer' is the reference implementation's, whose signal dies out below width 64; "
        "'he' keeps variance, and the head starts at the tumour's share of the pixels.",
        choices=INITIALIZERS,
    )
    unet_norm: str = cli.flag(
        "none",
        "What is between each 3x3 convolution and its ReLU: none, as in the paper, or batch or instance norm. "
        "--unet_weights must be of the same.",
        choices=NORMS,
        source="paper 3.1",
    )
    unet_weights: str = cli.flag(
        "",
        "Weights to start from: a TensorLayer checkpoint (.npz) of the same --unet_width, or the unet/best.npz of "
        "another run. Without it, training starts from random ones.",
        source="paper 4.1 fine-tunes weights from BraTS",
        path=True,
    )
    unet_weights_modalities: tuple[str, ...] = cli.flag(
        (),
        "Input channels of --unet_weights in their order; those of --modalities are taken from it by name. Without it, "
        "four channels are those of BraTS (flair,t1,t1ce,t2), any other number those of --modalities. flair@below and "
        "flair@above are those of --slices_in=3, which start at zero where it has none.",
    )
    unet_epochs: int = cli.flag(30, "Epochs at most.", minimum=1, source="paper 4.1")
    unet_steps: int = cli.flag(
        0, "Steps in all, rounded up to whole epochs of --unet_validate_every steps; 0: --unet_epochs.", minimum=0
    )
    unet_validate_every: int = cli.flag(100, "Steps of an epoch, with --unet_steps.", minimum=1)
    unet_batch: int = cli.flag(10, "Slices in a batch.", minimum=1, source="paper 4.1")
    unet_learning_rate: float = cli.flag(
        1e-3, "Largest learning rate; the paper takes 1e-5 to fine-tune, 1e-4 to pre-train.", minimum=0.0
    )
    unet_optimizer: str = cli.flag(
        "adam",
        "'adam', or 'adamw': with weight decay, gradients clipped to norm 1, and a rate that rises over the first 5%.",
        choices=unet_fitting.OPTIMIZERS,
    )
    unet_weight_decay: float = cli.flag(
        0.01, "AdamW's weight decay, a step's share of which is the learning rate; not of biases.", minimum=0.0
    )
    unet_loss: str = cli.flag(
        "dice",
        "'dice' is soft dice, eq. (3), helped by cross-entropy at first (--unet_warmup_steps); 'dice_ce' soft dice and "
        "mean cross-entropy throughout.",
        choices=unet_fitting.LOSSES,
    )
    dice_over: str = cli.flag(
        "batch",
        "What eq. (3) counts its pixels over: each slice, as the reference implementation does, or the batch, which "
        "cannot be won by predicting no tumour where many slices have none.",
        choices=tuple(unet_fitting.DICE),
    )
    unet_schedule: str = cli.flag(
        "cosine",
        "How the learning rate falls over all steps: 'cosine' to zero, or 'constant' as in the paper.",
        choices=("cosine", "constant"),
    )
    unet_patience: int = cli.flag(
        10, "Epochs without a better --unet_monitor before stopping; 0 never stops.", minimum=0
    )
    unet_monitor: str = cli.flag(
        "volume_dice",
        "What the best epoch is chosen by: the mean dice of whole validation volumes, or the mean IOU of their slices, "
        "of which one without tumour counts 1 when nothing is predicted.",
        choices=unet_fitting.MONITORS,
    )
    unet_warmup_steps: int = cli.flag(
        300,
        "Steps over which a cross-entropy term fades out, so that soft dice cannot stick at 1; 0 for none.",
        minimum=0,
    )
    unet_sampling: str = cli.flag(
        "slices",
        "What training slices are drawn by: 'slices' takes all alike; 'patients' all patients alike, and of each two "
        "thirds of its slices by their area of tumour.",
        choices=SAMPLINGS,
    )
    unet_half_size: float = cli.flag(
        0.0,
        "Share of the epochs, the first ones, on slices of half the height and width, at a quarter of the work.",
        minimum=0.0,
        maximum=1.0,
    )
    augment: bool = cli.flag(True, "Whether training slices are augmented.", source="paper, Table 1")
    augmentation: str = shared_flags.augmentation()
    cross_fit: int = cli.flag(
        0,
        "Parts of the training patients, each of whose features come from a U-Net that was trained without them, at as "
        "many times the cost; 0 takes them from the one that was trained on all.",
        minimum=0,
        maximum=3,
    )
    unet_class_weight: float = cli.flag(
        0.0,
        "Weight of the class's cross-entropy beside soft dice: above 0, a head on conv5 learns the class as well, so "
        "that features differ by class (0.3 is a start; needs --cross_fit); 0 is segmentation alone.",
        minimum=0.0,
        source="paper 4.1",
    )
    mirrored_inference: str = cli.flag(
        "none",
        "Mirror images whose probabilities are averaged with a slice's own: its left-right one, or those of 'both' "
        "ways, for what has no up and down, such as lesions cut out.",
        choices=tuple(postprocessing.MIRRORS),
    )
    largest_component: bool = cli.flag(False, "Whether only the largest part of a volume's predicted mask is kept.")


def run(config: Config) -> None:
    """Writes run_dir/unet: best.npz, history.json, overlays.npz, and Table 2 in stage.json; part0/ and so on."""
    shared_flags.use_device(config)
    check(config)
    where = distribution.strategy(config.strategy)
    prepared, checkpoint = rundir.find(config.run_dir, "prepare_slices"), read_weights(config)
    slices, record = prepared.folder, prepared.record
    digests = {"unet_weights": checkpoint.digest} if checkpoint else {}
    with worker_stages.open_stage(where, config, "train_unet", inputs=[prepared], digests=digests) as stage:
        if stage.done:
            return
        classes, figures = Classes.of_record(record["classes"]), record["figures"]
        part_of = cross_fitting.parts_of_run(slices, classes, parts=config.cross_fit, seed=config.seed)
        groups = [{name for name, part in part_of.items() if part == number} for number in set(part_of.values())]
        unet_fitting.check_batches(where, _recipe(config), slices, left_out=[set(), *groups])
        seen = weight_records.seen_patients(
            slices, figures["modalities"][0], weights=config.unet_weights, cross_fit=config.cross_fit > 0
        )

        def start(number=0):
            """The U-Net as training begins, and as it begins again from random weights after collapse `number`."""
            seed = int(np.random.SeedSequence([config.seed, number]).generate_state(1)[0]) if number else config.seed
            return _start(config, figures, checkpoint, seed=seed)

        with distribution.scope(where):
            unet = start()
        if not checkpoint:
            initial.warn_of_rate(config.unet_learning_rate)
        shown = samples.largest_tumours(
            slices, "validation", samples.first_patients(slices, "validation", overlays.SHOWN)
        )
        training = unet_parts.Training(_recipe(config), start, slices=slices, classes=classes)
        images = unet_callbacks.SegmentationImages(stage.logs, shown.images, shown.masks[..., np.newaxis])
        with distribution.scope(where):
            trained = training.fit(unet, folder=stage.path, logs=stage.logs, extra=[images])
            parts = unet_parts.fit_parts(training, part_of, folder=stage.path, logs=stage.logs)
        unet = replicated.on_one_device(where, unet, build=start, path=stage.path / "best.npz")
        predict = postprocessing.mirrored(inference.runner(unet), config.mirrored_inference)
        parts_of_split = {
            split: sharding.gathered(
                where,
                scoring.measured_part(
                    predict,
                    slices,
                    split,
                    batch=config.unet_batch,
                    part=distribution.workers(where),
                    largest_component=config.largest_component,
                    in_mm=figures["spacing"]["real"] and split == "test",
                    where=where,
                ),
            )
            for split in splits.SPLITS
        }
        if not distribution.is_chief(where):
            return
        table = {split: scoring.summary(found) for split, found in parts_of_split.items()}
        weight_records.write_records(stage.path, seen, part_of)
        if table["test"]:  # the run of a final model has no test patients
            overlays.save_overlays(stage.path / "overlays.npz", predict, slices, by_volume=table["test"]["by_volume"])
        tensorboard.complete(
            stage, segmentation=table, parameters=unet.count_params(), part_of=part_of, parts=parts, **trained
        )
        dice = (table["test"].get("volumes") or {}).get("dice") or {}
        logging.info(
            "U-Net: best epoch %d, dice of test volumes %s", trained["best_epoch"] + 1, _shown(dice.get("mean"))
        )


def check(config) -> None:
    """InputError for flags that cannot be met together."""
    if config.cross_fit == 1:
        raise InputError("--cross_fit=1 leaves nobody to learn from; take 2 or 3, or 0 for no cross-fitting")
    if config.unet_class_weight and not config.cross_fit:
        raise InputError(
            f"--unet_class_weight={config.unet_class_weight:g} without --cross_fit: the U-Net memorises the classes of "
            "its training patients, whose features would then differ by class as those of no other patient do; add "
            "--cross_fit=3 (or 2, at less cost), or take --unet_class_weight=0"
        )


def _shown(value) -> str:
    return "none" if value is None or not math.isfinite(value) else f"{value:.3f}"


def _start(config, figures, checkpoint, *, seed):
    """The U-Net as training starts, its random weights from `seed`; says what was adapted of --unet_weights."""
    settings = {
        "seed": seed,
        "unet_width": config.unet_width,
        "unet_initializer": config.unet_initializer,
        "unet_norm": config.unet_norm,
        "unet_weights": config.unet_weights,
        "unet_weights_modalities": config.unet_weights_modalities,
    }
    try:
        return initial.unet(settings, figures, checkpoint.arrays if checkpoint else None, precision=config.precision)
    except ValueError as error:
        raise InputError(f"--unet_weights={config.unet_weights}: {error}") from error


def _recipe(config: Config) -> unet_fitting.Recipe:
    """The flags of training."""
    return unet_fitting.Recipe(
        norm=config.unet_norm,
        epochs=config.unet_epochs,
        steps=config.unet_steps,
        validate_every=config.unet_validate_every,
        batch=config.unet_batch,
        half_size=config.unet_half_size,
        sampling=config.unet_sampling,
        augmentation=config.augmentation if config.augment else None,
        loss=config.unet_loss,
        dice_over=config.dice_over,
        warmup_steps=config.unet_warmup_steps,
        class_weight=config.unet_class_weight,
        optimizer=config.unet_optimizer,
        learning_rate=config.unet_learning_rate,
        weight_decay=config.unet_weight_decay,
        schedule=config.unet_schedule,
        monitor=config.unet_monitor,
        patience=config.unet_patience,
        precision=config.precision,
        seed=config.seed,
    )


def read_weights(config) -> tensorlayer_files.Checkpoint | None:
    """What --unet_weights holds, None without it; InputError where it cannot be used."""
    return tensorlayer_files.given(config.unet_weights, config.unet_weights_modalities)


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
