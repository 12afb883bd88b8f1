"""Trainings of a study of vectors: networks of one hidden layer on patients of a simulated cohort, draws x 12 arms.

Our side trains all of them in one call. The other is scikit-learn's MLPClassifier in a loop, with the same batch, units
and epochs, no weight decay on either side; it knows no focal loss, no mixing and, in older versions, no weights, so it
trains one of the other eight arms of each of some draws. Speeds are in steps of gradient descent, as arms differ in
samples; AUROC is the mean over the trainings of the loop, by either side.
"""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier

from benchmarks import rows, turns
from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.classification.perceptrons import PerceptronSettings
from rembrandt_featgen.classification.training_problems import Problem

_SETTINGS = PerceptronSettings()
_TEST = 400  # patients of each draw
_MINORITY = 0.28
# Of the arm without anything and of those that add samples of the minority, with noise of a standard deviation.
_NOISE = (None, 0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_OTHERS = 4  # arms that scikit-learn cannot train: weights, focal loss, mixup, manifold mixup


def measure(config, peers: bool) -> tuple[list[dict], dict]:
    """Rows and what each side took; the loop needs no other environment."""
    options = {"patients": config.trainings_patients, "numbers": config.trainings_numbers}
    options |= {"draws": config.trainings_draws, "loop_draws": min(config.trainings_loop, config.trainings_draws)}
    loop = "MLPClassifier in a loop"
    sides = {"ours": turns.Side(f"{__name__}:train", options), loop: turns.Side(f"{__name__}:train_in_a_loop", options)}
    taken = turns.take_turns(sides, config.rounds)
    few = sum(_steps(options, draw % len(_NOISE)) for draw in range(options["loop_draws"]))
    all_of_them = sum(_steps(options, arm) for arm in range(len(_NOISE) + _OTHERS)) * options["draws"]
    count = options["draws"] * (len(_NOISE) + _OTHERS)
    auroc = {name: one.facts["auroc"] for name, one in taken.items()}
    speed = {"other": few / taken[loop].median, "against": loop}
    return [
        rows.row(f"trainings_{count}", taken["ours"].median, "s"),
        rows.row("trainings_peak_memory", taken["ours"].peak_bytes / 1e9, "GB"),
        rows.row("trainings_vs_scikit_learn", all_of_them / taken["ours"].median, "steps/s", **speed),
        rows.row("trainings_auroc", auroc["ours"], "AUROC", other=auroc[loop], against=loop),
    ], taken


def train(options: dict) -> turns.Work:
    """A side: all trainings in one call."""
    facts: dict = {}
    problems, tests = [], []
    for draw in range(options["draws"]):
        features, labels, test = _draw(options, draw)
        samples = [_arm(features, labels, arm, draw=draw) for arm in range(len(_NOISE))]
        problems += [Problem(x, y, classes=2, seed=draw) for x, y in samples]
        plain = Problem(features, labels, classes=2, seed=draw)
        weights = np.where(labels, 1 / _MINORITY, 1 / (1 - _MINORITY))
        changes = {"weights": weights}, {"focusing": 2.0}, {"mixing": "input"}, {"mixing": "manifold"}
        problems += [dataclasses.replace(plain, **change) for change in changes]
        tests.append(test)
    arms = len(_NOISE) + _OTHERS

    def work():
        models = classifier_kinds.train(problems, _SETTINGS, strength=[0.0] * len(problems))
        found = []
        for draw, (features, labels) in enumerate(tests[: options["loop_draws"]]):
            model = models[draw * arms + draw % len(_NOISE)]
            found.append(roc_auc_score(labels, model.probabilities(features)[:, 1]))
        facts["auroc"] = float(np.mean(found))

    return turns.Work(work, facts)


def train_in_a_loop(options: dict) -> turns.Work:
    """A side: scikit-learn's, one after the other."""
    facts: dict = {}
    draws = [_draw(options, draw) for draw in range(options["loop_draws"])]

    def work():
        found = []
        for draw, (features, labels, (test, wanted)) in enumerate(draws):
            its_features, its_labels = _arm(features, labels, draw % len(_NOISE), draw=draw)
            network = MLPClassifier(
                (_SETTINGS.units,),
                alpha=0.0,
                batch_size=min(_SETTINGS.batch, len(its_labels)),
                learning_rate_init=_SETTINGS.learning_rate,
                max_iter=_SETTINGS.epochs,
                tol=0.0,
                n_iter_no_change=_SETTINGS.epochs,
                random_state=draw,
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it has not converged
                network.fit(its_features, its_labels)
            found.append(roc_auc_score(wanted, network.predict_proba(test)[:, 1]))
        facts["auroc"] = float(np.mean(found))

    return turns.Work(work, facts)


def _draw(options, draw):
    """Training features [n, d] and labels, and those of test patients, of a draw from one population."""
    direction = np.random.default_rng(0).normal(size=options["numbers"])
    random = np.random.default_rng([1, draw])
    sets = []
    for n in (options["patients"], _TEST):
        labels = random.permutation(np.arange(n) < round(_MINORITY * n)).astype(np.int64)
        features = random.normal(size=(n, options["numbers"]))
        features += np.outer(labels, 2.5 * direction / np.linalg.norm(direction))
        sets.append((features.astype(np.float32), labels))
    return *sets[0], sets[1]


def _arm(features, labels, arm, *, draw):
    """Samples and labels of one of the arms that scikit-learn can train."""
    noise = _NOISE[arm]
    if noise is None:
        return features, labels
    minority = np.flatnonzero(labels)
    more = len(labels) - 2 * len(minority)
    random = np.random.default_rng([2, draw])
    added = features[random.choice(minority, more)] + noise * random.normal(size=(more, features.shape[1]))
    return np.concatenate([features, added.astype(np.float32)]), np.concatenate([labels, np.ones(more, np.int64)])


def _steps(options, arm):
    """Steps of a training of an arm; those that add samples come after the first one, before those that do not."""
    n = options["patients"]
    adds = 0 < arm < len(_NOISE)
    samples = 2 * (n - round(_MINORITY * n)) if adds else n
    return _SETTINGS.epochs * -(-samples // _SETTINGS.batch)
