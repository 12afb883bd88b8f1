"""Writes the built-in phantom cohort: synthetic FLAIR volumes with a lesion whose look depends on the grade.

Files are BraTS-layout NIfTI, so that the next stage reads them as it reads real data. Nothing is done when --cohort
names a cohort of your own.
"""

from __future__ import annotations

import dataclasses

from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.stages import shared_flags

PHANTOM = "phantom"  # of --cohort


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    cohort: str = shared_flags.cohort()
    modalities: tuple[str, ...] = shared_flags.modalities()
    phantom_hgg: int = cli.flag(36, "Phantom patients with high-grade lesions.", minimum=1)
    phantom_lgg: int = cli.flag(24, "Phantom patients with low-grade lesions.", minimum=1)
    phantom_size: int = cli.flag(240, "Pixels along each in-plane side of a phantom volume.", minimum=32)
    phantom_slices: int = cli.flag(8, "Slices of a phantom volume.", minimum=3)
    phantom_difficulty: float = cli.flag(
        0.5, "How far the grades overlap: 0 not at all, 1 wholly (no classifier can succeed).", minimum=0.0, maximum=1.0
    )
    phantom_seed: int = cli.flag(0, "Seed of the phantom cohort, apart from --seed of the run.", minimum=0)


def run(config: Config) -> None:
    """Writes run_dir/phantom, a cohort in BraTS 2017 layout, unless --cohort names another."""
    if config.cohort != PHANTOM:
        logging.info("phantom: not needed, --cohort=%s", config.cohort)
        return
    with rundir.open_stage(config, "make_phantom") as stage:
        if stage.done:
            return
        phantom.write_phantom(
            stage.path / "cohort",
            hgg=config.phantom_hgg,
            lgg=config.phantom_lgg,
            size=config.phantom_size,
            slices=config.phantom_slices,
            difficulty=config.phantom_difficulty,
            seed=config.phantom_seed,
            modalities=config.modalities,
        )
        stage.complete(patients={"HGG": config.phantom_hgg, "LGG": config.phantom_lgg})


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, __doc__, stages.all_flags)


if __name__ == "__main__":
    main()
