"""Steps of a whole run by clock (`step_clocks`), from its flags and the slices of each split."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.data.pipelines import steps_per_epoch
from rembrandt_featgen.generation import adding
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.segmentation import unet_fitting

Slices = Mapping[str, Mapping[str, int]]  # split to class to number of slices


def steps(config, slices: Slices, *, accepted: float, arms=("baseline", "augmented")) -> dict[str, int]:
    """Steps of the first GAN and of each classifier; a step of `prepare_slices` is a slice.

    Epochs are counted in full, patience or not, and steps on slices of half the size as on whole ones.

    Args:
      config: of the pipeline.
      slices: of the whole run.
      accepted: share of what a GAN with an auxiliary classifier draws that is kept.
      arms: of the run's classifiers.
    """
    counts = {split: sum(own.values()) for split, own in slices.items()}

    def of_all(batch):
        return sum(steps_per_epoch(count, batch) for count in counts.values())

    kind = KINDS[config.generators[0]]
    drawn = round(config.synthetic_per_class / (accepted if kind.has_auxiliary_classifier else 1.0))
    batch = min(config.generate_batch, config.extract_batch) if kind.of_images else config.generate_batch
    samples = [counts["train"] + (added(config, slices["train"]) if arm == "augmented" else 0) for arm in arms]
    classify = config.classifier_epochs * sum(steps_per_epoch(count, config.classifier_batch) for count in samples)
    unet_steps, unet_epochs = unet_steps_and_epochs(config, counts["train"])
    validation = unet_epochs * steps_per_epoch(counts["validation"], config.unet_batch)
    return {
        "prepare_slices": sum(counts.values()),
        "train_unet": unet_steps * unet_epochs,
        "evaluate": validation + of_all(config.unet_batch),
        "extract_features": of_all(config.extract_batch),
        "train_generators": config.gan_epochs * steps_per_epoch(counts["train"], config.gan_batch),
        "generate_synthetic": len(slices["train"]) * steps_per_epoch(drawn, batch),
        **dict.fromkeys(config.classifier_kinds, classify),
    }


def unet_steps_and_epochs(config, training: int) -> tuple[int, int]:
    """Steps of an epoch of the U-Net, and epochs, of that many training slices."""
    return unet_fitting.steps_and_epochs(
        training,
        batch=config.unet_batch,
        epochs=config.unet_epochs,
        steps=config.unet_steps,
        validate_every=config.unet_validate_every,
    )


def added(config, training: Mapping[str, int]) -> int:
    """Features that the augmented arm adds to that many of each class."""
    if config.synthetic_added:
        return config.synthetic_added
    if config.synthetic_to == adding.ALL:
        return len(training) * config.synthetic_per_class
    gap = max(training.values()) - min(training.values())
    return (
        min(gap, config.synthetic_per_class) if config.synthetic_to == adding.MINORITY else config.synthetic_per_class
    )
