"""Simulates a study on a cluster from measured rates: what takes how long, stage by stage, and what breaks first.

    python tools/simulate_scale.py --patients=10000 --gpus=1000

Tasks of a stage go to free places one after another, as a scheduler dispatches them; they take longer or shorter,
places fail and their tasks resume from a checkpoint. All read and write one file system, whose bandwidth is a floor
under a stage's time. U-Nets and GANs read their data anew in each epoch, tasks of a study once, into memory. RATES has
each rate with where it was measured, ASSUMED what nobody measured; both can be given by flags.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
from typing import Any, NamedTuple

import numpy as np

from rembrandt_featgen.core import cli

_STRENGTHS, _INNER_FOLDS, _VECTOR_BYTES = 5, 3, 4 * 3000  # of the study of vectors; those of all taps
CPU = "two cores of an AMD EPYC (Zen 5), bfloat16, tools/README.md"
HERE = "two cores of the same, beside other work, 2026-11-28"
H100 = "one H100, TensorFlow 2.15.1, float16, issue 17"
# Name of a flag: (value on a GPU, where it was measured, value on two cores, where)
RATES = {
    "unet_slices_per_second": (590.0, H100, 2.82, CPU),
    "gan_steps_per_second": (80.0, H100, 3.13, CPU),
    "vector_patients_per_second": (15_900.0, f"1200 trainings of 250 patients in 18.9 s, {CPU}", 15_900.0, CPU),
    "row_bytes": (125.0, HERE, 125.0, HERE),
    "rows_per_second": (460_000.0, HERE, 460_000.0, HERE),
    "row_bytes_in_memory": (466.0, HERE, 466.0, HERE),
}
ASSUMED = {
    "extract_slices_per_second": (1770.0, "a forward pass is a third of a training step", 29.2, CPU),
    "classifier_samples_per_second": (24_000.0, "as much above the CPU as the ACGAN", 945.0, CPU),
    "storage_gb_per_second": (10.0, "a parallel file system, read and written at once", 0.2, "training from the store"),
    "dispatch_seconds": (0.001, "a task of Dask's scheduler", 0.001, "the same"),
    "hours_between_failures": (10_000.0, "of one place", 10_000.0, "the same"),
    "startup_seconds": (60.0, "a process, its kernels compiled", 10.0, "a process"),
    "spread": (0.05, "deviation of the logarithm of a task's time", 0.05, "the same"),
}


def _of(name: str, help: str):
    value, source, *_ = {**RATES, **ASSUMED}[name]
    return cli.flag(value, f"{help} ({'measured: ' if name in RATES else 'assumed: '}{source}).", minimum=1e-9)


@dataclasses.dataclass(frozen=True)
class Config:
    """The study, the cluster, and rates of one place of it; settings of flags/paper.flags where it has them."""

    patients: int = cli.flag(10_000, "Patients of the cohort.", minimum=10)
    gpus: int = cli.flag(1000, "Places that train, each a GPU (or, with --on_cpu, two cores).", minimum=1)
    on_cpu: bool = cli.flag(False, "Whether a place is two cores, by the rates that were measured there.")
    slices: float = cli.flag(50.6, "Slices of a patient.", minimum=1.0, source="paper 3.5: 5110 of 101 patients")
    folds: int = cli.flag(5, "Folds; each has a U-Net and GANs of its own.", minimum=1)
    repeats: int = cli.flag(5, "Divisions into folds.", minimum=1)
    replicas: int = cli.flag(1, "Places that share a training of U-Net or GAN (--strategy).", minimum=1)
    unet_batch: int = cli.flag(10, "Slices in a batch, of all replicas.", minimum=1)
    unet_epochs: int = cli.flag(30, "Epochs of the U-Net.", minimum=1)
    gan_batch: int = cli.flag(16, "Features in a batch, of all replicas.", minimum=1)
    gan_epochs: int = cli.flag(50, "Epochs of a GAN.", minimum=1)
    gans: int = cli.flag(2, "Kinds of GAN.", minimum=1)
    arms: int = cli.flag(14, "Arms.", minimum=1)
    amounts: int = cli.flag(3, "Amounts of extra samples of each arm.", minimum=1)
    classifiers: int = cli.flag(2, "Classifiers of maps.", minimum=1)
    trainings: int = cli.flag(5, "Trainings of each.", minimum=1)
    classifier_epochs: int = cli.flag(50, "Epochs of a classifier.", minimum=1)
    feature_bytes: int = cli.flag(15 * 15 * 1024 * 2, "Bytes of a feature: conv5 in bfloat16.", minimum=1)
    memory_gib: float = cli.flag(64.0, "Memory that one process may take.", minimum=0.1)
    checkpoint_seconds: float = cli.flag(600.0, "Between checkpoints.", minimum=1.0)
    seed: int = cli.flag(0, "Of the simulation.", minimum=0)
    unet_slices_per_second: float = _of("unet_slices_per_second", "Of a place that trains the U-Net of width 64")
    gan_steps_per_second: float = _of("gan_steps_per_second", "Of a place that trains an ACGAN of 512 filters")
    extract_slices_per_second: float = _of("extract_slices_per_second", "Of a place that extracts conv5")
    classifier_samples_per_second: float = _of("classifier_samples_per_second", "Of a place that trains a classifier")
    vector_patients_per_second: float = _of("vector_patients_per_second", "Patients times trainings of vectors")
    storage_gb_per_second: float = _of("storage_gb_per_second", "Of the file system, for all together")
    dispatch_seconds: float = _of("dispatch_seconds", "That the scheduler takes for a task")
    hours_between_failures: float = _of("hours_between_failures", "Of a place, on average")
    startup_seconds: float = _of("startup_seconds", "Before a task computes")
    spread: float = _of("spread", "Of tasks of the same kind")
    row_bytes: float = _of("row_bytes", "Of a row of predictions.csv")
    rows_per_second: float = _of("rows_per_second", "Read or written by one process")
    row_bytes_in_memory: float = _of("row_bytes_in_memory", "Of a row that was read")


class Work(NamedTuple):
    """A stage: tasks of so many seconds on `width` places each, and the bytes that all of them move through storage."""

    name: str
    tasks: int
    seconds: float
    width: int = 1
    moved: float = 0.0
    by_one: bool = False  # one process does it, whatever the number of places
    memory: float = 0.0  # bytes that one process needs


class Outcome(NamedTuple):
    """What a stage takes: hours, those of places with nothing in their way, its limit, the share of busy places."""

    work: Work
    hours: float
    ideal_hours: float
    limit: str
    busy: float


def rates_of_cpu(config: Config) -> Config:
    """The config with the rates that were measured on two cores, where it has those of a GPU."""
    known = {**RATES, **ASSUMED}
    changes: dict[str, Any] = {name: cpu for name, (gpu, _, cpu, _) in known.items() if getattr(config, name) == gpu}
    return dataclasses.replace(config, **changes)


def stages(config: Config) -> list[Work]:
    """The stages of the study, in their order."""
    networks = config.folds * config.repeats
    slices = config.patients * config.slices
    training = slices * (config.folds - 1) / config.folds if config.folds > 1 else slices
    feature, image = config.feature_bytes, 240 * 240 * 5  # float32 and a byte of mask
    unet = config.unet_epochs * training / config.unet_slices_per_second
    steps = config.gan_epochs * training / config.gan_batch / config.gan_steps_per_second
    classifier = config.classifier_epochs * training / config.classifier_samples_per_second
    fitted = networks * config.arms * config.amounts * config.classifiers * config.trainings
    tuned = config.arms * config.amounts * _STRENGTHS * (_INNER_FOLDS + 1)
    vectors = tuned * config.patients / config.vector_patients_per_second
    rows = slices * config.repeats * config.arms * config.amounts * config.classifiers * config.trainings
    gathered = rows / config.rows_per_second
    shared = _shares(config.replicas, config.unet_batch), _shares(config.replicas, config.gan_batch)
    return [
        Work(
            "train_unet",
            networks,
            unet / shared[0],
            width=shared[0],
            moved=networks * config.unet_epochs * training * image,
        ),
        Work(
            "extract_features", networks, slices / config.extract_slices_per_second, moved=networks * slices * feature
        ),
        Work(
            "train_generators",
            networks * config.gans,
            steps / shared[1],
            width=shared[1],
            moved=networks * config.gans * config.gan_epochs * training * feature,
        ),
        Work(
            "classifiers of maps",
            fitted,
            classifier,
            moved=fitted * training * feature,
            memory=2 * training * feature,  # in float32
        ),
        Work("classifiers of vectors", networks * config.trainings, vectors, memory=config.patients * _VECTOR_BYTES),
        Work(
            "gather predictions",
            1,
            2 * gathered,
            moved=2 * rows * config.row_bytes,
            by_one=True,
            memory=rows * config.row_bytes_in_memory,
        ),
    ]


def _shares(replicas: int, batch: int) -> int:
    """Places that a training can be divided among: a batch has no more parts than samples."""
    return min(replicas, batch)


def makespan(work: Work, places: int, config: Config, *, random: np.random.Generator) -> float:
    """Seconds until all tasks are done on places of `width`, one dispatched after another.

    Args:
      work: the stage; its storage is not counted here.
      places: GPUs.
      config: for start, spread, failures and dispatch.
      random: of spread and failures.
    """
    free = [config.startup_seconds] * max(min(places // work.width, work.tasks), 1)
    between = 3600 * config.hours_between_failures / work.width  # one place that fails stops all that share its task
    spread = np.exp(config.spread * random.normal(size=work.tasks))
    end = 0.0
    for number, factor in enumerate(spread):
        start = max(heapq.heappop(free), config.startup_seconds + number * config.dispatch_seconds)
        seconds = work.seconds * factor
        failures = random.poisson(seconds / between)
        lost = random.uniform(0, min(config.checkpoint_seconds, seconds), size=failures) + config.startup_seconds
        done = start + seconds + float(lost.sum())
        heapq.heappush(free, done)
        end = max(end, done)
    return end


def simulate(config: Config) -> list[Outcome]:
    """Each stage in its turn: the next begins when all of it is done."""
    random, found = np.random.default_rng(config.seed), []
    for work in stages(config):
        places = 1 if work.by_one else config.gpus
        computed = makespan(work, places, config, random=random)
        stored = work.moved / (1e9 * config.storage_gb_per_second)
        dispatched = work.tasks * config.dispatch_seconds
        hours = max(computed, stored) / 3600
        ideal = work.tasks * work.seconds * work.width / config.gpus / 3600
        if work.memory > config.memory_gib * 2**30:
            limit = f"memory: one process would need {work.memory / 2**30:,.0f} GiB"
        elif work.by_one:
            limit = "one process"
        elif stored > computed:
            limit = f"storage: {work.moved / 1e12:,.1f} TB moved"
        elif dispatched > 0.5 * computed:
            limit = "scheduler"
        elif config.startup_seconds > 0.5 * computed:
            limit = "starting processes"
        elif work.tasks * work.width < config.gpus:
            limit = f"tasks: {work.tasks:,} of {work.width} place(s) each"
        else:
            limit = "GPUs" if not config.on_cpu else "cores"
        found.append(Outcome(work, hours, ideal, limit=limit, busy=min(ideal / hours, 1.0)))
    return found


def breaks_first(found: list[Outcome]) -> Outcome:
    """The stage that lacks memory, else the one that takes most hours beyond those of ideal places."""
    return max(found, key=lambda one: (one.limit.startswith("memory"), one.hours - one.ideal_hours))


def table(found: list[Outcome]) -> str:
    """Outcomes in Markdown."""
    lines = ["| stage | tasks | hours of a task | hours | busy places | limited by |", "|---|---|---|---|---|---|"]
    for work, hours, _, limit, busy in found:
        seconds = work.seconds / 3600
        lines.append(f"| {work.name} | {work.tasks:,} | {_number(seconds)} | {_number(hours)} | {busy:.0%} | {limit} |")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    """With two digits that count, or all before the point."""
    return f"{value:,.{max(1 - math.floor(math.log10(value)), 0)}f}" if value > 0 else "0"


def run(config: Config) -> None:
    """Prints the table, what breaks first, and the rates with their sources."""
    config = rates_of_cpu(config) if config.on_cpu else config
    found = simulate(config)
    first = breaks_first(found)
    places = f"{config.gpus:,} {'pairs of cores' if config.on_cpu else 'GPUs'}"
    print(f"{config.patients:,} patients, {places}, {config.folds * config.repeats} folds\n\n{table(found)}")
    print(f"in all {_number(sum(one.hours for one in found))} hours; breaks first: {first.work.name} ({first.limit})\n")
    for title, known in (("measured", RATES), ("assumed", ASSUMED)):
        for name, sources in known.items():
            given = getattr(config, name)
            source = sources[3 if config.on_cpu else 1] if given in (sources[0], sources[2]) else "by its flag"
            print(f"{title}: {name} = {given:g} ({source})")


if __name__ == "__main__":
    cli.main(Config, run, about=__doc__)
