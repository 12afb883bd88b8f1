"""Writes the built-in phantom cohort: synthetic FLAIR volumes with a lesion whose look depends on the class.

Files are NIfTI in BraTS layout, or with a manifest where the classes are others than LGG and HGG, so that the next
stage reads them as it reads real data. Nothing is done when --cohort names a cohort of your own.
"""

from __future__ import annotations

import dataclasses

from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.cohort.classes import infer, parse_counts
from rembrandt_featgen.core import cli, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.stages import shared_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    cohort: str = shared_flags.cohort()
    modalities: tuple[str, ...] = shared_flags.modalities()
    classes: tuple[str, ...] = shared_flags.classes()
    phantom_counts: tuple[str, ...] = cli.flag(
        ("LGG:24", "HGG:36"),
        "Phantom patients of each class; those of the positive one look like high grade, the others like low grade.",
    )
    phantom_test_counts: tuple[str, ...] = cli.flag(
        (),
        "Fresh phantom patients of each class beside those of --phantom_counts, such as LGG:250,HGG:250: they alone "
        "are tested, and nothing is ever learnt from them. Empty: patients of --phantom_counts are tested.",
    )
    phantom_size: int = cli.flag(240, "Pixels along each in-plane side of a phantom volume.", minimum=32)
    phantom_slices: int = cli.flag(8, "Slices of a phantom volume.", minimum=3)
    phantom_difficulty: float = cli.flag(
        0.5,
        "How far the classes overlap: 0 not at all, 1 wholly (no classifier can succeed).",
        minimum=0.0,
        maximum=1.0,
    )
    phantom_seed: int = cli.flag(0, "Seed of the phantom cohort, apart from --seed of the run.", minimum=0)


def run(config: Config) -> None:
    """Writes run_dir/phantom/cohort, unless --cohort names another."""
    if config.cohort != phantom.COHORT:
        logging.info("phantom: not needed, --cohort=%s", config.cohort)
        return
    counts = parse_counts(config.phantom_counts, "--phantom_counts")
    given = f"--phantom_counts={','.join(config.phantom_counts)}"
    names = {name.casefold() for name in config.classes}
    if names and names != {name.casefold() for name in counts}:
        raise InputError(
            f"{given}: these are not the classes of --classes={','.join(config.classes)}; give a count for each, such "
            f"as --phantom_counts={','.join(f'{name}:20' for name in config.classes)}"
        )
    classes = infer(config.classes, counts, given)
    fresh = parse_counts(config.phantom_test_counts, "--phantom_test_counts")
    if fresh:  # InputError where it names other classes
        infer(classes.names, fresh, f"--phantom_test_counts={','.join(config.phantom_test_counts)}")
    with rundir.open_stage(config, "make_phantom", classes=classes.record) as stage:
        if stage.done:
            return
        phantom.write_phantom(
            stage.path / "cohort",
            counts,
            classes=classes,
            test_counts=fresh,
            size=config.phantom_size,
            slices=config.phantom_slices,
            difficulty=config.phantom_difficulty,
            seed=config.phantom_seed,
            modalities=config.modalities,
        )
        stage.complete(patients=counts, fresh_patients=fresh)


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
