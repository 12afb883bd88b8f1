"""Runs the trained U-Net up to one block and writes that block's features of all slices as shards."""

from __future__ import annotations

import dataclasses

from absl import logging
from tqdm import tqdm

from rembrandt_featgen import cli, rundir, stages
from rembrandt_featgen.data import shards
from rembrandt_featgen.errors import InputError
from rembrandt_featgen.models import unet as unets
from rembrandt_featgen.stages import fields
from rembrandt_featgen.training import datasets, restore

FOLDER = "features"


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = fields.run_dir()
    precision: str = fields.precision()
    tap: str = cli.flag("conv5", f"Block whose features are taken: one of {', '.join(unets.TAPS)}.", source="paper 4.1")
    extract_batch: int = cli.flag(10, "Slices in a batch.", minimum=1)


def run(config: Config) -> None:
    """Writes run_dir/features: shards of [h, w, filters] float32 features after ReLU, for each split."""
    if config.tap not in unets.TAPS:
        raise InputError(f"--tap={config.tap} is no block of the U-Net; take one of {', '.join(unets.TAPS)}")
    slices, slices_record, slices_digest = rundir.find(config.run_dir, "slices", "prepare")
    folder, record, digest = rundir.find(config.run_dir, "unet", "finetune")
    with rundir.open_stage(config, FOLDER, {"slices": slices_digest, "unet": digest}) as stage:
        if stage.done:
            return
        unet = restore.unet(folder, record["config"], slices_record, config.precision)
        tap = unets.tap_model(unet, config.tap)
        size = slices_record["config"]["image_size"]
        shape = tuple(tap.compute_output_shape((1, size, size, tap.input_shape[-1]))[1:])
        counts = {}
        for split in ("train", "validation", "test"):
            index = shards.read_index(slices, split)
            counts[split] = len(index)
            if (stage.path / f"{split}.json").exists():  # written whole before the run was killed
                continue
            with shards.ShardWriter(stage.path, split, {"feature": (shape, "float32")}) as writer:
                bar = tqdm(total=len(index), desc=f"{config.tap} of {split}", unit="slice")
                for batch in datasets.slices(slices, split, config.extract_batch):
                    features = tap.predict_on_batch(batch["image"])
                    keys = [batch[name].numpy() for name in ("patient", "slice", "label")]
                    for feature, patient, position, label in zip(features, *keys):
                        writer.write({"feature": feature}, patient.decode(), position, label)
                    bar.update(len(features))
                bar.close()
        stage.complete(tap=config.tap, shape=shape, features=counts)
        logging.info("features: %s at %s, %s", "x".join(map(str, shape)), config.tap, counts)


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, __doc__, stages.all_flags)


if __name__ == "__main__":
    main()
