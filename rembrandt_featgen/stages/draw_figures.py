"""Draws every figure of the paper from the artifacts of a run, and writes its tables beside the paper's numbers.

Besides these: what moved the classifier's decisions and what maximises channels and classes (tf-keras-vis), and real
and synthetic features as points for TensorBoard's projector.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, json_files, rundir
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.interpretation.artifacts import SYNTHETIC, Artifacts
from rembrandt_featgen.nn import tensorboard
from rembrandt_featgen.reporting import gallery, paper_tables, sweep_figures, sweep_tables
from rembrandt_featgen.stages import shared_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    seed: int = shared_flags.seed()
    generators: tuple[str, ...] = shared_flags.generators()
    projector_points: int = cli.flag(2000, "Features, real and synthetic, in TensorBoard's projector.", minimum=10)
    maximisation_steps: int = cli.flag(100, "Steps of gradient ascent in activation maximisation.", minimum=1)


def run(config: Config) -> None:
    """Writes run_dir/figures: a PNG for each figure, a CSV for each table; and TensorBoard's images and projector."""
    kinds_of_slices = [kind for kind in shared_flags.check_generators(config) if KINDS[kind].of_images]
    config = shared_flags.with_first_generator(config)
    (kind,) = config.generators
    found = rundir.find_inputs(config.run_dir, "draw_figures", kind, optional=["run_sweep"])
    generators = {kind: rundir.find(config.run_dir, "train_generators", kind) for kind in kinds_of_slices}
    inputs = {entry.folder: entry for entry in [*found.values(), *generators.values()]}
    with rundir.open_stage(config, "draw_figures", list(inputs.values())) as stage:
        if stage.done:
            return
        tf.keras.utils.set_random_seed(config.seed)
        records = {name: entry.record for name, entry in found.items()}
        artifacts = Artifacts(
            folders={name: entry.folder for name, entry in found.items()},
            records=records,
            classes=Classes.of_record(records["prepare_slices"]["classes"]),
            most=config.projector_points,
            seed=config.seed,
        )
        swept = _sweep(artifacts.folders.get("run_sweep"))
        draw = gallery.figures_of_run(
            artifacts,
            steps=config.maximisation_steps,
            generators_of_slices={kind: entry.folder for kind, entry in generators.items()},
        )
        figures = {name: function() for name, function in tqdm(draw.items(), "figures", unit="figure")}
        of_sweep = sweep_figures.draw(swept, artifacts.classes)
        if "figure_11" in of_sweep:  # the paper's is that of the sweep
            figures["figure_11_run"] = figures["figure_11"]
        figures |= of_sweep
        tables = paper_tables.tables(records, artifacts.classes) | sweep_tables.tables(swept, artifacts.classes)
        for name, figure in figures.items():
            (stage.path / f"{name}.png").write_bytes(figure.png)
        for name, text in tables.items():
            (stage.path / f"{name}.csv").write_text(text, encoding="utf-8")
        captions = {name: figure.caption for name, figure in figures.items()}
        tensorboard.write_images(stage.logs, {name: figure.png for name, figure in figures.items()}, captions)
        _write_projector(artifacts, stage.logs.parent / "projector")
        stage.complete(
            figures={name: {"alt": figure.alt, "caption": figure.caption} for name, figure in figures.items()},
            tables=list(tables),
        )
        logging.info("figures: %d figures and %d tables", len(figures), len(tables))


def _sweep(folder: Path | None) -> dict:
    """What sweep.json holds, if the run has one."""
    return {"points": []} if folder is None else json_files.read_json(folder / "sweep.json")


def _write_projector(artifacts: Artifacts, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    points = artifacts.points
    rows = [
        (artifacts.classes.names[label], "synthetic" if split == SYNTHETIC else "real", split, patient)
        for label, split, patient in zip(points.labels, points.splits, points.patients)
    ]
    header = ("label", "source", "split", "patient")
    tensorboard.write_points(folder, "features", values=points.values, header=header, rows=rows)


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
