"""Varies one thing at a time of a finished run, and compares.

The axes: start of the U-Net, modes of the reference implementation, source of features, kind of generator, filters, and
added features.

Each point is a run in RUN/sweep_points/<axis>=<value>, with the settings of the base run but for the one. What it
shares with the base run is linked to, not done again; all else is skipped, resumed or done again as in any run. Every
axis holds the value of the base run. Nothing is done without one of the --sweep_ flags.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from absl import logging
from tqdm import tqdm

from rembrandt_featgen import stages
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli, json_files, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import sweep_points, sweep_results, sweep_sharing
from rembrandt_featgen.evaluation.sweep_points import ALL, Point
from rembrandt_featgen.evaluation.sweep_sharing import Base
from rembrandt_featgen.generation import adding
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.nn import tensorboard
from rembrandt_featgen.reporting import sweep_tables
from rembrandt_featgen.stages import shared_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    device: str = shared_flags.device()
    tf32: bool = shared_flags.tf32()
    jit: bool = shared_flags.jit()
    deterministic: bool = shared_flags.deterministic()
    sweep_reference: tuple[str, ...] = cli.flag(
        (),
        "Modes to compare as 'reference' and as 'correct', each alone: some of "
        f"{', '.join(sweep_points.REFERENCE_FLAGS)}; 'augmentation' trains the U-Net again.",
    )
    sweep_generators: tuple[str, ...] = cli.flag(
        (), f"Generators to compare: some of {', '.join(KINDS)}. Those of --generators are not trained again."
    )
    sweep_filters: tuple[str, ...] = cli.flag(
        (), "Filters of the GAN (ndf = ngf) to compare.", source="paper 4.2.1: 64, 256, 512"
    )
    sweep_taps: tuple[str, ...] = cli.flag(
        (), f"Sources of features to compare, see --tap: some of {', '.join(sweep_points.TAPS)}."
    )
    sweep_added: tuple[str, ...] = cli.flag(
        (), f"Numbers of synthetic features that are added, to compare, such as 0,100,500,{ALL}."
    )
    sweep_added_to: tuple[str, ...] = cli.flag(
        (adding.ALL, adding.MINORITY),
        f"Which classes get those of --sweep_added, see --synthetic_to: "
        f"some of {adding.ALL}, {adding.MINORITY} and the classes, a curve each.",
    )
    sweep_from_scratch: bool = cli.flag(
        False, "Whether the U-Net is also trained from random weights, at equal steps, where there are --unet_weights."
    )


def run(config: Config) -> None:
    """Learns the points and writes run_dir/sweep: sweep.json, sweep.csv, pretraining.csv, and TensorBoard's HParams."""
    check(config)
    if not asks(config):
        logging.info("sweep: none asked for; name values by --sweep_filters, --sweep_taps, --sweep_added, ...")
        return
    where = {"device": config.device, "tf32": config.tf32, "jit": config.jit, "deterministic": config.deterministic}
    base = dataclasses.replace(find_base(config.run_dir), where=where)
    points = find_points(config, base)
    logging.info("sweep: %d points: %s", len(points), ", ".join(point.name for point in points))
    notes = {}
    for point in tqdm(points, "sweeps", unit="point"):
        logging.info("sweep: %s", point.name)
        notes[point.name] = sweep_sharing.learn(base, point)
    found = {point.name: sweep_sharing.finished_stages(base, point) for point in points}
    stages_found = [entry for entries in found.values() for entry in entries.values()]
    inputs = {str(entry.folder.relative_to(base.run_dir)): entry.digest for entry in stages_found}
    # points are inputs: axes and values may be added without harm
    bare = dataclasses.replace(Config(), run_dir=config.run_dir)
    with rundir.open_stage(
        bare, "run_sweep", digests=inputs, classes=base.records["prepare_slices"].get("classes")
    ) as stage:
        if stage.done:
            return
        learnt = []
        for point in points:
            folders = {name: entry.folder for name, entry in found[point.name].items()}
            records = {name: entry.record for name, entry in found[point.name].items()}
            learnt.append(sweep_results.outcome(point, records, folders, note=notes[point.name]))
        settings = base.records["train_classifiers"]["config"]
        sweep_results.compare(learnt, draws=settings["bootstrap_draws"], seed=settings["seed"])
        swept = json_files.plain({"points": learnt, "choice_rule": sweep_results.CHOICE_RULE})
        json_files.write_json(stage.path / "sweep.json", swept)
        classes = Classes.of_record(base.records["prepare_slices"]["classes"])
        for name, text in sweep_tables.tables(swept, classes).items():
            (stage.path / f"{name}.csv").write_text(text, encoding="utf-8")
        tensorboard.write_trials(stage.logs, sweep_tables.trials(swept, classes))
        stage.complete(points=[point.name for point in points], notes=[p["note"] for p in learnt if p["note"]])
        logging.info(
            "sweep: %d points, compared in %s",
            len(points),
            Path(config.run_dir) / registry.folder("run_sweep") / "sweep.csv",
        )


def asks(config) -> bool:
    """Whether flags ask for any point."""
    axes = (
        config.sweep_reference,
        config.sweep_taps,
        config.sweep_generators,
        config.sweep_filters,
        config.sweep_added,
    )
    return any(axes) or config.sweep_from_scratch


def check(config) -> None:
    """InputError for values that no point can have."""
    cli.some_of("sweep_reference", config.sweep_reference, sweep_points.REFERENCE_FLAGS, at_least=0)
    cli.some_of("sweep_taps", config.sweep_taps, sweep_points.TAPS, at_least=0)
    cli.some_of("sweep_generators", config.sweep_generators, KINDS, at_least=0)
    _filters(config)
    _added(config)
    if config.sweep_added and not config.sweep_added_to:
        raise InputError(f"--sweep_added_to= names none; take some of {adding.ALL}, {adding.MINORITY} and the classes")


def find_base(run_dir: str) -> Base:
    """Finds the stages that points start from; InputError where one is not finished."""
    (kind,) = rundir.find(run_dir, "train_classifiers").record["config"]["generators"]
    found = rundir.find_inputs(run_dir, "run_sweep", kind)
    return Base(
        run_dir=Path(run_dir),
        kind=kind,
        records={name: entry.record for name, entry in found.items()},
        modules=stages.modules(sweep_sharing.LEARNT),
    )


def find_points(config: Config, base: Base) -> list[Point]:
    """The points of all axes that are asked for, those of the base run among them; InputError for a class it lacks."""
    classes = Classes.of_record(base.records["prepare_slices"]["classes"])
    cli.some_of("sweep_added_to", config.sweep_added_to, adding.receivers(classes), at_least=0)
    axes = sweep_points.Axes(
        reference=config.sweep_reference,
        taps=config.sweep_taps,
        generators=config.sweep_generators,
        filters=_filters(config),
        added=_added(config),
        adds_all=ALL in config.sweep_added,
        receivers=config.sweep_added_to,
        from_scratch=config.sweep_from_scratch,
    )
    return sweep_points.find_points(axes, base.records, kind=base.kind, classes=classes)


def _filters(config) -> tuple[int, ...]:
    return _numbers("sweep_filters", config.sweep_filters, 1)


def _added(config) -> tuple[int, ...]:
    return _numbers("sweep_added", [value for value in config.sweep_added if value != ALL], 0)


def _numbers(name: str, texts, least: int) -> tuple[int, ...]:
    try:
        numbers = tuple(int(text) for text in texts)
    except ValueError as error:
        raise InputError(f"--{name}={','.join(texts)}: write whole numbers, such as 64,256,512") from error
    if numbers and min(numbers) < least:
        raise InputError(f"--{name}={','.join(texts)}: each must be from {least} on")
    return numbers


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
