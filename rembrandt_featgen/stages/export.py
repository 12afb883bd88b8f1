"""Exports U-Net, generator and classifier as SavedModels that TensorFlow alone can load.

TensorLayer's checkpoint of the U-Net stands beside them, for exchange.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.classification import classifier_export
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, registry, remarks, rundir
from rembrandt_featgen.data.preparation import Preparation
from rembrandt_featgen.evaluation import predictions
from rembrandt_featgen.features import encoders
from rembrandt_featgen.generation import gan_export
from rembrandt_featgen.generation.encoded_gan import EncodedGAN
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.nn import saved_models
from rembrandt_featgen.segmentation import pretrained, tensorlayer_files, unet_export, weight_records
from rembrandt_featgen.stages import shared_flags

CHOICES = ("auto", "baseline_cnn", "augmented_cnn", "baseline_linear", "augmented_linear")


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    generators: tuple[str, ...] = shared_flags.generators()
    export_classifier: str = cli.flag(
        "auto", "Classifier to ship; 'auto' takes the one with the lowest validation loss.", choices=CHOICES
    )


def run(config: Config) -> None:
    """Writes run_dir/export: unet/, generator/ and classifier/, which compute in float32, and unet_tensorlayer.npz."""
    config = shared_flags.with_first_generator(config)
    (kind,) = config.generators
    found = rundir.find_inputs(config.run_dir, "export", kind)
    folders = {name: entry.folder for name, entry in found.items()}
    records = {name: entry.record for name, entry in found.items()}
    with rundir.open_stage(config, "export", list(found.values())) as stage:
        if stage.done:
            return
        slices, shape = records["prepare_slices"]["figures"], tuple(records["extract_features"]["figures"]["shape"])
        unet = unet_export.restore_unet(
            folders["train_unet"],
            config=records["train_unet"]["config"],
            slices=records["prepare_slices"],
            precision="float32",
        )
        encoder = encoders.encoder(unet, folders["extract_features"])
        gan = gan_export.restore_gan(folders["train_generators"])
        generator = EncodedGAN(gan, encoder) if KINDS[kind].of_images else gan
        losses = records["train_classifiers"]["figures"]["validation_loss"]
        chosen = min(losses, key=losses.get) if config.export_classifier == "auto" else config.export_classifier
        classifier = classifier_export.restore_classifier(
            folders["train_classifiers"],
            chosen,
            shape=shape,
            filters=records["train_classifiers"]["config"]["classifier_filters"],
            units=records["train_classifiers"]["config"]["classifier_units"],
            num_classes=len(records["train_classifiers"]["classes"]["names"]),
        )
        arm, _, network = chosen.rpartition("_")
        predicted = predictions.read(folders["train_classifiers"] / predictions.FILE)
        thresholds = predicted.select(arm=arm, classifier=network).thresholds[0]
        models = {
            "unet": unet_export.segmenter(
                unet,
                encoder,
                preparation=Preparation.of_record(slices["preparation"]),
                modalities=slices["modalities"],
                mirrors=records["train_unet"]["config"]["mirrored_inference"],
                settings={
                    "largest_component": records["train_unet"]["config"]["largest_component"],
                    "spacing": slices["spacing"],
                    "familiarity": slices["familiarity"],
                    "reading": slices.get("reading"),
                },
            ),
            "generator": gan_export.generator(generator, Classes.of_record(records["train_generators"]["classes"])),
            "classifier": classifier_export.classifier(
                classifier, Classes.of_record(records["train_classifiers"]["classes"]), thresholds
            ),
        }
        with remarks.errors_alone():
            for name, (module, signatures) in models.items():
                saved_models.save(module, stage.path / name, signatures)
        weights = [variable.numpy() for variable in pretrained.variables(unet)]
        tensorlayer_files.write(stage.path / "unet_tensorlayer.npz", weights)
        seen = weight_records.read_record(folders["train_unet"] / "best.npz")
        if seen:
            weight_records.write_record(stage.path / "unet_tensorlayer.npz", seen)
        stage.complete(classifier=chosen, tap=records["extract_features"]["figures"]["tap"])
        logging.info(
            "export: unet, generator and classifier (%s) in %s",
            chosen,
            Path(config.run_dir) / registry.folder("export"),
        )


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
