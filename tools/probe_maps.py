"""Measures whether generators of maps help where a class lies in texture or in borders, and its mean tells nothing.

Cohorts of 60 and 8 patients with a map of 8x8x4 numbers each; the paper's CNN, small, whose early stopping is chosen
by real samples alone and holds for every arm. All arms take the steps that real samples alone take. GANs are trained
on each cohort, and all that they make is added: a judge of means and deviations of channels knows nothing here.

python tools/probe_maps.py --folder=runs/map_worlds --cohorts=10
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from probe_where_it_helps import FRESH, RESERVE, gap
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from rembrandt_featgen.classification import classifier_kinds, tuning
from rembrandt_featgen.classification.map_fitting import CnnSettings
from rembrandt_featgen.classification.training_problems import Problem
from rembrandt_featgen.core import cli, folders, json_files
from rembrandt_featgen.evaluation import arms
from rembrandt_featgen.evaluation.arms import ARMS, TrainingSamples
from rembrandt_featgen.features import scaling
from rembrandt_featgen.generation import gan_training
from rembrandt_featgen.generation.gan_training import GanTraining
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.sample_pool import SamplePool
from rembrandt_featgen.generation.training_set import Samples

PATIENTS = (60, 8)
SIZE, CHANNELS = 8, 4
MIRRORED = "mirrored"  # the minority's maps mirrored and turned, what people do with images first
GANS = ("acgan", "cgan", "adcgan")
COMPETING = ("none", "class_weights", "mixup", *METHODS, *GANS, "oracle", "copy", "shuffled")
GENERATORS = tuple(name for name in COMPETING if ARMS[name].kind == "generative")
CLASSICAL = (*(name for name in COMPETING if ARMS[name].kind == "classical"), MIRRORED)
SETTINGS = CnnSettings(filters=8, units=16, epochs=40, learning_rate=1e-3)
FOLDS = 3
GAN_TRAINING = GanTraining(steps=800, filters_generator=32, filters_discriminator=32)


def texture(random, labels):
    """Noise of one variance everywhere, fine in one class and smooth in the other."""
    white, other = random.normal(size=(2, len(labels), SIZE, SIZE, CHANNELS))
    smooth = ndimage.gaussian_filter(other, (0, 1.0, 1.0, 0), mode="wrap")
    share = np.where(labels == 1, 0.8, 0.2)[:, None, None, None]
    return np.sqrt(1 - share) * white + np.sqrt(share) * smooth / smooth.std()


def border(random, labels):
    """A bright disc somewhere, of a sharp border in one class and of a blurred one in the other, in noise."""
    y, x = np.mgrid[:SIZE, :SIZE]
    places = random.uniform(2.5, SIZE - 3.5, (2, len(labels), 1, 1))
    far = np.hypot(y - places[0], x - places[1])
    steep = np.where(labels == 1, 4.0, 1.0)[:, None, None]
    disc = 1 / (1 + np.exp(np.clip(steep * (far - 2.2), -30, 30)))
    disc -= disc.mean(axis=(1, 2), keepdims=True)
    disc /= disc.std(axis=(1, 2), keepdims=True)
    return disc[..., None] + 0.5 * random.normal(size=(len(labels), SIZE, SIZE, CHANNELS))


def means(random, labels):
    """White noise, a quarter of which is brighter in one class."""
    maps = random.normal(size=(len(labels), SIZE, SIZE, CHANNELS))
    maps[:, :4, :4, 0] += 1.0 * labels[:, None, None]
    return maps


WORLDS: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "texture": texture,
    "border": border,
    "means": means,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the tool."""

    folder: str = cli.flag("runs/map_worlds", "Keeps what is done, so that a later run goes on.")
    worlds: tuple[str, ...] = cli.flag(tuple(WORLDS), f"Of {', '.join(WORLDS)}.")
    cohorts: int = cli.flag(10, "Cohorts of each world.", minimum=2)


def run(config: Config) -> None:
    """Prints a Markdown table: of each world AUROC of real samples alone, and what arms add."""
    names = cli.some_of("worlds", config.worlds, WORLDS)
    print("| world | none | best classical | best generative | the two compared | real patients more |\n|" + "---|" * 6)
    for name in names:
        folder = Path(config.folder) / name
        folders.make_folder(folder, "--folder")
        measured = []
        for number in tqdm(range(config.cohorts), name):
            kept = folder / f"{number}.json"
            if not kept.is_file():
                json_files.write_json(kept, aurocs(WORLDS[name], number))
            measured.append(json_files.read_json(kept))
        print(row(name, measured, family=len(names) * len(GENERATORS)), flush=True)


def aurocs(world, number: int) -> dict[str, float]:
    """Arm to AUROC of the fresh patients of a cohort."""
    random = np.random.default_rng([number, 9])
    counts = [*PATIENTS, 0, RESERVE, FRESH, FRESH]
    labels, part = np.repeat([0, 1] * 3, counts), np.repeat([0, 0, 1, 1, 2, 2], counts)
    maps = world(random, labels).astype(np.float32)
    prepared = scaling.fit(maps[part == 0]).apply(maps)
    real = TrainingSamples(prepared[part == 0], labels[part == 0], np.arange(sum(PATIENTS)))
    reserve = Samples(prepared[part == 1], labels[part == 1])
    pools = gan_pools(real, number)
    problems = {name: _problem(name, real, number=number, reserve=reserve, pools=pools) for name in COMPETING}
    problems[MIRRORED] = mirrored(real, number)
    (choice,) = tuning.tune([_task(real, number)], SETTINGS, folds=FOLDS)
    models = classifier_kinds.train(list(problems.values()), SETTINGS, strength=[choice.strength] * len(problems))
    return {
        name: float(roc_auc_score(labels[part == 2], model.probabilities(prepared[part == 2])[:, 1]))
        for name, model in zip(problems, models)
    }


def gan_pools(real: TrainingSamples, number: int) -> dict[str, SamplePool]:
    """Kind of GAN to as many maps of the minority as a cohort lacks, by a GAN that was trained on it."""
    labels = np.ones(PATIENTS[0] - PATIENTS[1], np.int64)
    pools = {}
    for kind in GANS:
        spec = GAN_TRAINING.spec(kind, real.features.shape[1:], num_classes=2, seed=number)
        gan = gan_training.train(real.features, real.labels, spec, training=GAN_TRAINING, signed=True)
        made = gan.generate(gan.noise(len(labels), [number, 3]), tf.constant(labels))
        pools[kind] = SamplePool(np.asarray(made, np.float32), labels)
    return pools


def _problem(name, real, *, number, reserve, pools) -> Problem:
    amount = 0.0 if ARMS[name].takes_amount else None
    draw = pools[name].draw if name in pools else None
    return arms.problem(
        ARMS[name], real, amount=amount, num_classes=2, signed=True, seed=number, reserve=reserve, draw=draw
    )


def mirrored(real: TrainingSamples, number: int) -> Problem:
    """As many maps of the minority, mirrored and turned at random, as it lacks."""
    random, of_class = np.random.default_rng([number, 10]), real.features[real.labels == 1]
    chosen = of_class[random.integers(len(of_class), size=PATIENTS[0] - PATIENTS[1])]
    turned = [np.rot90(one[:, :: random.choice([-1, 1])], random.integers(4)) for one in chosen]
    features = np.concatenate([real.features, turned])
    labels = np.concatenate([real.labels, np.ones(len(turned), int)])
    return Problem(features, labels, 2, seed=number, epoch=len(real.labels))


def _task(real: TrainingSamples, number: int) -> tuning.Task:
    def make(rows, judged):
        return Problem(real.features[rows], real.labels[rows], 2, seed=number), real.features[judged]

    return tuning.Task(real.labels, real.groups, make, seed=number)


def row(world: str, measured: Sequence[dict[str, float]], *, family: int) -> str:
    """A line of the table; a star marks a generator above what it is compared with, with bounds for all of them."""
    of_arm = {arm: np.array([one[arm] for one in measured]) for arm in measured[0]}
    classical, generative = (max(names, key=lambda arm: of_arm[arm].mean()) for names in (CLASSICAL, GENERATORS))
    return (
        f"| {world} | {of_arm['none'].mean():.3f} | {gap(of_arm[classical] - of_arm['none'])} `{classical}` | "
        f"{gap(of_arm[generative] - of_arm['none'], family)} `{generative}` | "
        f"{gap(of_arm[generative] - of_arm[classical], family)} | {gap(of_arm['oracle'] - of_arm['none'])} |"
    )


def main() -> None:
    """Entry point of the tool."""
    cli.main(Config, run, about=__doc__)


if __name__ == "__main__":
    main()
