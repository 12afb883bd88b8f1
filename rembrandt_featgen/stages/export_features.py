"""Writes features of a finished run as one Parquet file, or its maps as one .npz file; `--features=FILE` reads both.

A row is a sample: patient, label, group, site (where it is known), split and sample, then numbers.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import splits
from rembrandt_featgen.core import cli, folders, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features import importing, run_tables, stored_tables, tables
from rembrandt_featgen.stages import shared_flags

_MOST = 50_000  # columns; Parquet keeps some hundred bytes on each

CHOICES = ("channel_means", "columns", "vectors", "maps")


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the binary."""

    run_dir: str = cli.flag("", "Folder of a finished run, or of a fold of a study.", required=True, path=True)
    to: str = cli.flag("", "The .parquet file to write; of maps .npz.", required=True, path=True)
    what: str = cli.flag(
        "channel_means",
        "Of each slice the means of the tap's channels, all its values as columns, or its maps; or of each patient the "
        "vector of extract_vectors.",
        choices=CHOICES,
    )
    middle_slices: int = cli.flag(
        0, "With --what=maps: so many slices of each patient, those in the middle of its volume; 0: all.", minimum=0
    )
    splits: tuple[str, ...] = cli.flag(
        splits.SPLITS,
        f"Whose features, of {', '.join(splits.SPLITS)}: the U-Net was trained by the first and chosen by the second, "
        "and a study that tests them flatters.",
    )
    site_pattern: str = shared_flags.site_pattern()
    overwrite: bool = cli.flag(False, "Whether --to may replace a file.")


def run(config: Config) -> None:
    """Writes --to."""
    path = Path(config.to)
    suffix = ".npz" if config.what == "maps" else ".parquet"
    if path.suffix.lower() != suffix:
        raise InputError(f"--to={path} must end in {suffix}, as --what={config.what} is written")
    if config.middle_slices and config.what != "maps":
        raise InputError(f"--middle_slices={config.middle_slices} is of --what=maps alone; leave it out")
    if path.exists() and not config.overwrite:
        raise InputError(f"--to={path} is there already; name another file, or give --overwrite to replace it")
    chosen = cli.some_of("splits", config.splits, splits.SPLITS)
    folders.make_folder(path.resolve().parent, "--to")
    stage = "extract_vectors" if config.what == "vectors" else "extract_features"
    parts = [
        run_tables.table_of_run(
            config.run_dir, stage, split, pooled=config.what == "channel_means", site_pattern=config.site_pattern
        )
        for split in chosen
    ]
    names = np.repeat(chosen, [len(part) for part in parts])
    table = tables.joined(parts)
    dice = _unet_dice(config.run_dir)
    if config.what == "columns":
        if np.prod(table.shape) > _MOST:
            raise InputError(
                f"--what=columns: maps {'x'.join(map(str, table.shape))} make {np.prod(table.shape)} columns, and at "
                f"most {_MOST} are written; take --what=channel_means, or a tap with fewer values"
            )
        table = run_tables.flattened(table)
    if table.is_map:
        rows = run_tables.middle_rows(table, config.middle_slices) if config.middle_slices else np.arange(len(table))
        table = table.take(rows)
        _say_fewer(table, config.middle_slices)
        stored_tables.write_maps(path, table, names[rows], unet_dice=dice)
    else:
        stored_tables.write_table(path, table, names, unet_dice=dice)
    line = importing.made_by_poor_unet(path, "--to")
    if line:
        logging.warning("%s", line)
    logging.info("%s: %d rows of %s numbers", path, len(table), "x".join(map(str, table.shape)))


def _say_fewer(table: tables.FeatureTable, count: int) -> None:
    """Warns where patients have fewer slices than --middle_slices asks for."""
    slices = np.unique(table.patients, return_counts=True)[1]
    if (slices < count).any():
        logging.warning(
            "--middle_slices=%d: %d of %d patients have fewer slices, from %d on, and all of these are written",
            count,
            (slices < count).sum(),
            len(slices),
            slices.min(),
        )


def _unet_dice(run_dir: str) -> float | None:
    """Mean dice of test volumes of the run's U-Net; None where there is none, or no tumour to find."""
    if not rundir.is_done(run_dir, "train_unet"):
        return None
    figures = rundir.find(run_dir, "train_unet").record["figures"]
    return (figures.get("segmentation") or {}).get("test", {}).get("patient_hard_dice")


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
