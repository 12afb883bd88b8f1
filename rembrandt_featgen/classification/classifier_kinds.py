"""The classifiers of a study, of vectors and of maps, and training of hundreds of them in one call."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Union

import numpy as np
from scipy import special

from rembrandt_featgen.classification import map_fitting, neighbours, perceptrons, ridge
from rembrandt_featgen.classification.training_problems import Problem

ClassifierSettings = Union[
    ridge.RidgeSettings, perceptrons.PerceptronSettings, neighbours.NeighbourSettings, map_fitting.NetworkSettings
]


@dataclasses.dataclass(frozen=True)
class ClassifierKind:
    """A kind of classifier.

    Attributes:
      title: for tables.
      settings: class of its settings, which has defaults.
      strengths: what tuning tries, from weak to strong regularisation; as many for every kind.
      fit: (problems, settings, strengths) to arrays of each problem; a result depends on its problem alone.
      logits: (arrays, features [m, *shape]) to [m, classes], up to a constant for each row.
      of_maps: whether it is of maps [h, w, c]; else of vectors.
    """

    title: str
    settings: type
    strengths: tuple[float, ...]
    fit: Callable[..., list[dict]]
    logits: Callable[[dict, np.ndarray], np.ndarray]
    of_maps: bool = False


_EARLIER = (1.0, 1.5, 2.5, 4.0, 7.0, 12.0)  # by which the epochs of a network are divided
CLASSIFIER_KINDS = {
    "ridge": ClassifierKind(
        "ridge logistic regression",
        ridge.RidgeSettings,
        strengths=(1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
        fit=ridge.fit,
        logits=ridge.logits,
    ),
    "mlp": ClassifierKind(
        "network of one hidden layer",
        perceptrons.PerceptronSettings,
        strengths=(0.1, 1.0, 3.0, 10.0, 30.0, 100.0),
        fit=perceptrons.fit,
        logits=perceptrons.logits,
    ),
    "neighbours": ClassifierKind(
        "nearest neighbours",
        neighbours.NeighbourSettings,
        strengths=(1, 3, 7, 15, 31, 63),
        fit=neighbours.fit,
        logits=neighbours.logits,
    ),
    "cnn": ClassifierKind(
        "the paper's CNN",
        map_fitting.CnnSettings,
        strengths=_EARLIER,
        fit=map_fitting.fit,
        logits=map_fitting.logits,
        of_maps=True,
    ),
    "linear": ClassifierKind(
        "the paper's linear classifier",
        map_fitting.LinearSettings,
        strengths=_EARLIER,
        fit=map_fitting.fit,
        logits=map_fitting.logits,
        of_maps=True,
    ),
}


def base_of(name: str) -> str:
    """Name of the kind of a classifier: "mlp" of "mlp" and of "mlp@10"."""
    return name.partition("@")[0]


def kind_of(name: str) -> ClassifierKind:
    """The kind of a classifier by its name, such as "mlp"; "mlp@10" is not tuned, its strength is 10 throughout.

    Raises:
      ValueError: there is no such kind, or no such strength.
    """
    base, fixed, strength = name.partition("@")
    if base not in CLASSIFIER_KINDS:
        of_vectors, of_maps = (
            ", ".join(known for known, kind in CLASSIFIER_KINDS.items() if kind.of_maps == maps)
            for maps in (False, True)
        )
        raise ValueError(f"{name!r} is none of {of_vectors} (of vectors), {of_maps} (of maps)")
    kind = CLASSIFIER_KINDS[base]
    if not fixed:
        return kind
    try:
        value = type(kind.strengths[0])(strength)
    except ValueError:
        value = 0
    if not 0 < value < np.inf:
        raise ValueError(f"{name!r}: write a strength above 0 behind {base}@, such as {base}@{kind.strengths[1]:g}")
    return dataclasses.replace(kind, strengths=(value,))


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A trained classifier.

    Attributes:
      classifier: its name in the table.
      strength: of its regularisation.
      arrays: what it consists of, see `fit` of its kind.
    """

    classifier: str
    strength: float
    arrays: dict[str, np.ndarray]

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """[m, classes] float64 of features [m, *shape], prepared as those of the training."""
        kind = CLASSIFIER_KINDS[self.classifier]
        if not kind.of_maps:
            features = np.asarray(features, np.float64)
        return special.softmax(kind.logits(self.arrays, features), 1)


def train(problems: Sequence[Problem], settings: ClassifierSettings, *, strength: Sequence[float]) -> list[Model]:
    """Trains a classifier on each problem, all of the call together; memory is bounded, whatever their number.

    Args:
      problems: with the same shape of a sample and number of classes; n may differ.
      settings: their class says which kind of classifier.
      strength: of the regularisation of each problem.

    Returns:
      Models, which depend on their problem alone, not on the others.

    Raises:
      ValueError: problems differ in shape or classes, or there are other numbers of problems and strengths, or they
        are of maps for a classifier of vectors or the other way round.
    """
    name = next(name for name, one in CLASSIFIER_KINDS.items() if isinstance(settings, one.settings))
    shapes = {(*problem.features.shape[1:], problem.classes) for problem in problems}
    if len(shapes) > 1 or len(problems) != len(strength):
        raise ValueError(
            f"problems of one call share shape and classes and have a strength each, received {sorted(shapes)} and "
            f"{len(strength)} strengths for {len(problems)} problems"
        )
    if problems and CLASSIFIER_KINDS[name].of_maps != (problems[0].features.ndim == 4):
        raise ValueError(
            f"{name} is of {'maps [n, h, w, c]' if CLASSIFIER_KINDS[name].of_maps else 'vectors [n, d]'}, received "
            f"{list(problems[0].features.shape)}"
        )
    arrays = CLASSIFIER_KINDS[name].fit(problems, settings, list(strength))
    return [Model(name, float(its_strength), its_arrays) for its_strength, its_arrays in zip(strength, arrays)]
