"""Measures where generation could help: simulated worlds, many small cohorts of each, and fresh patients to test.

A cohort is a few patients of a minority class beside more of another. Cohorts are independent, so that the mean over
them has a plain standard error. Regularisation is chosen by real samples alone and holds for every arm.

python tools/probe_where_it_helps.py --folder=runs/worlds --cohorts=40
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import cli
from rembrandt_featgen.evaluation import contrasts, few_shots
from rembrandt_featgen.evaluation.competitors import Settings
from rembrandt_featgen.evaluation.plans import Task
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.features.tables import FeatureTable, table_of_arrays
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.measures import classification

FRESH = 200  # patients of each class on whom a cohort's classifiers are tested
RESERVE = 20  # real patients of the minority class whom the arm "oracle" adds
CLASSIFIERS = ("ridge", "mlp", "mlp@0.001", "neighbours@1")  # the last two cannot be regularised
ARMS = ("none", "class_weights", "mixup", *METHODS, "oracle", "copy", "shuffled")


@dataclasses.dataclass(frozen=True)
class World:
    """Where cohorts come from.

    Attributes:
      what: in words.
      draw: (random, labels, site) to features [n, columns]; a site is a number, that of test patients a new one.
      patients: of the common and of the minority class in a cohort.
    """

    what: str
    draw: Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]
    patients: tuple[int, int] = (60, 8)


def means(random, labels, sites, *, columns=10, shift=0.8):
    """Normal classes that differ in the means of three columns."""
    del sites
    x = random.normal(size=(len(labels), columns))
    x[:, :3] += shift * labels[:, None]
    return x


def ring(random, labels, sites):
    """The minority lies on a ring around the others: means are the same."""
    x = means(random, labels, sites, shift=0.0)
    angle = random.uniform(0, 2 * np.pi, len(labels))
    on_ring = 2.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.5 * x[:, :2]
    x[:, :2] = np.where(labels[:, None] == 1, on_ring, x[:, :2])
    return x


def lumps(random, labels, sites):
    """The minority is two lumps on either side of the others."""
    x = means(random, labels, sites, shift=0.0)
    x[:, 0] = np.where(labels == 1, 0.5 * x[:, 0] + random.choice([-2.0, 2.0], len(labels)), x[:, 0])
    return x


def checkers(random, labels, sites):
    """Classes lie in opposite quadrants of two columns."""
    x = means(random, labels, sites, shift=0.0)
    first = random.choice([-1.0, 1.0], len(labels))
    x[:, 0], x[:, 1] = 0.6 * x[:, 0] + first, 0.6 * x[:, 1] + first * (2 * labels - 1)
    return x


def shifted_sites(random, labels, sites):
    """Each site moves all columns; test patients are of new sites."""
    offsets = random.normal(0, 1.0, (sites.max() + 1, 10))
    return means(random, labels, sites) + offsets[sites]


WORLDS = {
    "means": World("classes differ in three means of ten", means),
    "ring": World("the minority on a ring around the others", ring),
    "lumps": World("the minority in two lumps around the others", lumps),
    "checkers": World("opposite quadrants", checkers),
    "columns": World("as means, of 100 columns", lambda *args: means(*args, columns=100)),
    "rare": World("as means, 5 among 300", means, (300, 5)),
    "sites": World("as means, sites shifted, new ones tested", shifted_sites, (60, 12)),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the tool."""

    folder: str = cli.flag("runs/worlds", "Keeps what is done, so that a later run goes on.")
    worlds: tuple[str, ...] = cli.flag(tuple(WORLDS), f"Of {', '.join(WORLDS)}.")
    cohorts: int = cli.flag(40, "Cohorts of each world.", minimum=2)


def run(config: Config) -> None:
    """Prints a Markdown table: of each world and classifier AUROC of real samples alone, and what arms add to it."""
    names = cli.some_of("worlds", config.worlds, WORLDS)
    family = (
        len(names)
        * len(CLASSIFIERS)
        * len([name for name in ARMS if METHODS.get(name, METHODS["smote"]).kind == "generative"])
    )
    print(
        "| world | classifier | none | best classical | best generative | the two compared | chosen | oracle |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for name in names:
        table = study(WORLDS[name], config.cohorts, Path(config.folder) / name)
        for (classifier,), part in table.split("classifier"):
            print(row(name, classifier, part, family=family), flush=True)


def study(world: World, cohorts: int, folder: Path) -> PredictionsTable:
    """Predictions of the fresh patients of each cohort, by all arms and classifiers; its number is the draw."""
    table, tasks = plan(world, cohorts)
    settings = Settings(ARMS, (0.0,), CLASSIFIERS, committed=True, measured=False)
    return few_shots.predict(table, tasks, settings, folder=folder)


def plan(world: World, cohorts: int) -> tuple[FeatureTable, list[Task]]:
    """All patients of all cohorts in one table, and who of them learn and who are tested."""
    values, labels, tasks, start = [], [], [], 0
    for number in range(cohorts):
        random = np.random.default_rng([number, 7])
        counts = [*world.patients, 0, RESERVE, FRESH, FRESH]
        of = np.repeat([0, 1] * 3, counts)
        part = np.repeat([0, 0, 1, 1, 2, 2], counts)
        sites = np.where(part == 2, random.integers(3, 9, len(of)), random.integers(0, 3, len(of)))
        values.append(world.draw(random, of, sites))
        labels.append(of)
        train, reserve, test = (start + np.flatnonzero(part == one) for one in range(3))
        tasks.append(
            Task(
                "few-shot",
                number,
                0,
                fold="0",
                seed=number,
                train=train,
                validation=test[:0],
                test=test,
                reserve=reserve,
            )
        )
        start += len(of)
    everyone = np.arange(start).astype(str)
    table = table_of_arrays(
        np.concatenate(values).astype(np.float32),
        np.concatenate(labels),
        classes=Classes.of(("common", "minority")),
        patients=everyone,
        groups=everyone,
    )
    return table, tasks


def row(world: str, classifier: str, table: PredictionsTable, *, family: int) -> str:
    """A line of the table; a star marks a generator above 0 with bounds for all generators, classifiers and worlds."""
    of_arm = {arm: aurocs(part) for (arm,), part in table.split("arm")}
    kinds = {arm: part.kind[0] for (arm,), part in table.split("arm")}
    classical = max((arm for arm in of_arm if kinds[arm] == "classical"), key=lambda arm: of_arm[arm].mean())
    generative = max((arm for arm in of_arm if kinds[arm] == "generative"), key=lambda arm: of_arm[arm].mean())
    without, with_ = (aurocs(contrasts.choose(table, side)) for side in (False, True))
    return (
        f"| {world} | `{classifier}` | {of_arm['none'].mean():.3f} | "
        f"{gap(of_arm[classical] - of_arm['none'])} `{classical}` | "
        f"{gap(of_arm[generative] - of_arm['none'], family)} `{generative}` | "
        f"{gap(of_arm[generative] - of_arm[classical], family)} | {gap(with_ - without)} | "
        f"{gap(of_arm['oracle'] - of_arm['none'])} |"
    )


def aurocs(table: PredictionsTable) -> np.ndarray:
    """[cohorts]."""
    found = [part.by_patient() for _, part in table.split("draw")]
    return np.array([classification.measures(labels, p)["auroc"] for _, labels, p in found])


def gap(values: np.ndarray, family: int = 0) -> str:
    """Mean and standard error over cohorts, as text."""
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    sure = family and values.mean() > stats.t.ppf(1 - 0.025 / family, len(values) - 1) * error
    return f"{values.mean():+.3f} ± {error:.3f}{'*' * bool(sure)}"


def main() -> None:
    """Entry point of the tool."""
    cli.main(Config, run, about=__doc__)


if __name__ == "__main__":
    main()
