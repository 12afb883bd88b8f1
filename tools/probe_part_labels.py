"""Measures whether generators help where the class of few patients is known, and those of many more are not.

Generators learn from all patients, to whom a mixture of Gaussians gives a class. What people do with such patients
without a generator competes: principal components of all, self-training, the classes that the same mixture gives, and
resampling of the minority, these included.
Regularisation is chosen by labelled patients alone, and holds for every arm, as do the gradient steps.

python tools/probe_part_labels.py --folder=runs/part_labels --cohorts=40
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from probe_where_it_helps import CLASSIFIERS, FRESH, WORLDS, gap
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.semi_supervised import SelfTrainingClassifier
from tqdm import tqdm

from rembrandt_featgen.classification import classifier_kinds, tuning
from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.core import cli, folders, json_files
from rembrandt_featgen.features import vector_preparation
from rembrandt_featgen.generation import training_set
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.sampling_method import RealSamples, real_samples
from rembrandt_featgen.generation.unlabelled import with_unlabelled

UNLABELLED = 5  # times as many as there are labelled ones, in the same shares
COMPONENTS = 5
LABELLED_ALONE = "gaussian"  # is fitted to labelled ones, too
RESAMPLING = ("random_oversampling", "smote", "gaussian_noise")
GENERATORS = tuple(name for name, method in METHODS.items() if method.kind == "generative")
OF_ALL = " of all"
CLASSICAL = ("components", "self-training", "mixture")
_TOGETHER = 10  # cohorts that are trained in one call, and kept in one file


@dataclasses.dataclass(frozen=True)
class Cohort:
    """Labelled, unlabelled and fresh patients, scaled by the labelled ones; and the true classes of all."""

    real: RealSamples
    unlabelled: np.ndarray
    their_labels: np.ndarray
    fresh: np.ndarray
    fresh_labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the tool."""

    folder: str = cli.flag("runs/part_labels", "Keeps what is done, so that a later run goes on.")
    worlds: tuple[str, ...] = cli.flag(("means", "lumps", "columns"), f"Of {', '.join(WORLDS)}.")
    cohorts: int = cli.flag(40, "Cohorts of each world.", minimum=2)


def run(config: Config) -> None:
    """Prints a Markdown table: of each world and classifier AUROC of labelled patients alone, and what arms add."""
    names = cli.some_of("worlds", config.worlds, WORLDS)
    family = len(names) * len(CLASSIFIERS) * len(GENERATORS)
    print(
        f"| world | classifier | none | {' | '.join(CLASSICAL)} | `{LABELLED_ALONE}` of labelled ones | "
        "best resampling of all | best generator of all | less the best without | classes known |\n|" + "---|" * 11
    )
    for name in names:
        folder = Path(config.folder) / name
        folders.make_folder(folder, "--folder")
        measured: list[dict] = []
        for first in tqdm(range(0, config.cohorts, _TOGETHER), name):
            numbers = range(first, min(config.cohorts, first + _TOGETHER))
            kept = folder / f"{numbers[0]}_{numbers[-1]}.json"
            if not kept.is_file():
                json_files.write_json(kept, aurocs([cohort(name, number) for number in numbers]))
            measured += json_files.read_json(kept)
        for classifier in CLASSIFIERS:
            print(row(name, classifier, [one[classifier] for one in measured], family=family), flush=True)


def cohort(world: str, number: int) -> Cohort:
    """A cohort of a world, with one site."""
    random, patients = np.random.default_rng([number, 8]), np.array(WORLDS[world].patients)
    counts = np.concatenate([patients, UNLABELLED * patients, [FRESH, FRESH]])
    labels = np.repeat([0, 1] * 3, counts)
    values = WORLDS[world].draw(random, labels, np.zeros(len(labels), int)).astype(np.float32)
    n, m = counts[:2].sum(), counts[:4].sum()
    scaled = vector_preparation.fit(values[:n]).apply(values)
    real = real_samples(scaled[:n], labels[:n], None, num_classes=2, signed=True, seed=number)
    return Cohort(real, scaled[n:m], labels[n:m], fresh=scaled[m:], fresh_labels=labels[m:])


def aurocs(cohorts: Sequence[Cohort]) -> list[dict[str, dict[str, float]]]:
    """Classifier to arm to AUROC of the fresh patients, of each of some cohorts."""
    arms: list[dict[str, tuple[np.ndarray, np.ndarray]]] = [dict(classical(one)) for one in cohorts]
    everyone = [with_unlabelled(one.real, one.unlabelled) for one in cohorts]
    for name in (*RESAMPLING, *GENERATORS):
        sets = {name + OF_ALL: everyone} | ({name: [one.real for one in cohorts]} if name == LABELLED_ALONE else {})
        for arm, reals in sets.items():
            for one, fitted, place in zip(cohorts, METHODS[name].fit_many(reals), arms):
                drawn = fitted.draw_all(training_set.counts(one.real.labels, 0.0, 2), one.real.seed)
                place[arm] = (
                    np.concatenate([one.real.flat, drawn.features]),
                    np.concatenate([one.real.labels, drawn.labels]),
                )
    found: list[dict] = [{} for _ in cohorts]
    for classifier in CLASSIFIERS:
        kind = classifier_kinds.kind_of(classifier)
        chosen = tuning.tune([_task(one) for one in cohorts], kind.settings(), strengths=kind.strengths)
        for components in (False, True):  # one call trains problems of one width
            jobs = [
                (number, arm, _problem(cohorts[number], *samples))
                for number, of_cohort in enumerate(arms)
                for arm, samples in of_cohort.items()
                if (arm == "components") == components
            ]
            models = classifier_kinds.train(
                [job for _, _, job in jobs], kind.settings(), strength=[chosen[k].strength for k, _, _ in jobs]
            )
            for (number, arm, _), model in zip(jobs, models):
                one = cohorts[number]
                fresh = _components(one).transform(one.fresh) if components else one.fresh
                scores = model.probabilities(fresh.astype(np.float32))[:, 1]
                found[number].setdefault(classifier, {})[arm] = float(roc_auc_score(one.fresh_labels, scores))
    return found


def classical(one: Cohort) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Arm to features and labels, without a generator."""
    real, everyone = one.real, np.concatenate([one.real.flat, one.unlabelled])
    unknown = np.concatenate([real.labels, np.full(len(one.unlabelled), -1)])
    itself = SelfTrainingClassifier(LogisticRegression(class_weight="balanced"), threshold=0.9).fit(everyone, unknown)
    said = itself.transduction_ >= 0
    mixed = with_unlabelled(real, one.unlabelled)
    return {
        "none": (real.flat, real.labels),
        "components": (_components(one).transform(real.flat).astype(np.float32), real.labels),
        "self-training": (everyone[said], itself.transduction_[said]),
        "mixture": (mixed.flat, mixed.labels),
        "known": (everyone, np.concatenate([real.labels, one.their_labels])),
    }


def _components(one: Cohort) -> PCA:
    return PCA(COMPONENTS, random_state=0).fit(np.concatenate([one.real.flat, one.unlabelled]))


def _problem(one: Cohort, features: np.ndarray, labels: np.ndarray) -> Problem:
    return Problem(features, labels.astype(np.int64), 2, seed=one.real.seed, epoch=len(one.real.labels))


def _task(one: Cohort) -> tuning.Task:
    real = one.real

    def make(rows, judged):
        return Problem(real.flat[rows], real.labels[rows], 2, seed=real.seed), real.flat[judged]

    return tuning.Task(real.labels, real.groups, make, seed=real.seed)


def row(world: str, classifier: str, measured: Sequence[dict[str, float]], *, family: int) -> str:
    """A line of the table; a star marks the best generator above what it is compared with, with bounds for all."""
    of_arm = {arm: np.array([one[arm] for one in measured]) for arm in measured[0]}
    resampled, made = (
        max((name + OF_ALL for name in names), key=lambda arm: of_arm[arm].mean()) for names in (RESAMPLING, GENERATORS)
    )
    without = max(("none", *CLASSICAL, resampled), key=lambda arm: of_arm[arm].mean())
    beside = " | ".join(gap(of_arm[name] - of_arm["none"]) for name in (*CLASSICAL, LABELLED_ALONE))
    return (
        f"| {world} | `{classifier}` | {of_arm['none'].mean():.3f} | {beside} | "
        f"{gap(of_arm[resampled] - of_arm['none'])} `{resampled.removesuffix(OF_ALL)}` | "
        f"{gap(of_arm[made] - of_arm['none'], family)} `{made.removesuffix(OF_ALL)}` | "
        f"{gap(of_arm[made] - of_arm[without], family)} | {gap(of_arm['known'] - of_arm['none'])} |"
    )


def main() -> None:
    """Entry point of the tool."""
    cli.main(Config, run, about=__doc__)


if __name__ == "__main__":
    main()
