import dataclasses

import numpy as np
import pytest

from rembrandt_featgen.classification import map_fitting
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import trials
from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.evaluation.trials import Validation
from rembrandt_featgen.measures.classification import patient_log_loss
from tests.evaluation.separable import SMALL, STILL, amount_of, filled, training_set, validation_set


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_learns_and_moves_every_weight(name):
    arm, training, validation = filled(ARMS[name]), training_set(), validation_set()
    trained = trials.train(arm, training, validation, amount=amount_of(arm), settings=SMALL, seed=3)
    assert (trained.arm, trained.amount) == (name, amount_of(arm))
    # balanced by 8, and 0.5 * 24 / 2 more of each
    assert trained.extra == ({0: 14, 1: 6} if arm.takes_amount else {0: 0, 1: 0})
    assert trained.validation_loss < 0.6 * trained.validation_losses[0]
    assert (trained.probabilities(validation.features).argmax(axis=1) == validation.labels).all()
    start = map_fitting.fitter(trained.architecture).initial_weights(3)
    assert len(start) == len(trained.weights) == 14
    for old, new in zip(start, trained.weights):
        assert np.abs(old - new).max() > 1e-3


@pytest.mark.parametrize("name", ["none", "smote", "manifold_mixup"])
def test_the_same_seed_gives_the_same(name):
    arm = ARMS[name]
    first, again, other = (
        trials.train(arm, training_set(), validation_set(), amount=amount_of(arm), settings=SMALL, seed=seed)
        for seed in (0, 0, 1)
    )
    assert first.losses == again.losses
    assert first.validation_losses == again.validation_losses
    for one, two in zip(first.weights, again.weights):
        np.testing.assert_array_equal(one, two)
    assert first.losses != other.losses


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", lambda p: (np.log(p[8:]).sum() + np.log(1 - p[:8]).sum()) / -24),
        # n / (2 n_c): 1.5 for each of 8 LGG, 0.75 for each of 16 HGG
        ("class_weights", lambda p: (0.75 * np.log(p[8:]).sum() + 1.5 * np.log(1 - p[:8]).sum()) / -24),
        (
            "focal_loss",
            lambda p: (((1 - p[8:]) ** 2 * np.log(p[8:])).sum() + (p[:8] ** 2 * np.log(1 - p[:8])).sum()) / -24,
        ),
    ],
)
def test_losses_by_hand(name, expected):
    training = training_set()
    trained = trials.train(ARMS[name], training, validation_set(), amount=None, settings=STILL, seed=0)
    assert trained.losses == pytest.approx([expected(trained.probabilities(training.features)[:, 1])], rel=1e-5)
    for own, start in zip(trained.weights, map_fitting.fitter(trained.architecture).initial_weights(0)):
        np.testing.assert_array_equal(own, start)  # all arms of a seed start alike


@pytest.mark.parametrize(
    ("name", "places", "alpha"), [("none", (), 1.0), ("mixup", (0,), 0.2), ("manifold_mixup", (0, 1, 2), 2.0)]
)
def test_where_arms_mix(name, places, alpha, monkeypatch):
    seen = []
    epoch = map_fitting.Fitter.epoch
    monkeypatch.setattr(
        map_fitting.Fitter, "epoch", lambda *args, **more: seen.append(more["mixing"]) or epoch(*args, **more)
    )
    trials.train(
        ARMS[name], training_set(), validation_set(), amount=None, settings=dataclasses.replace(SMALL, epochs=2), seed=0
    )
    assert seen == [map_fitting.Mixing(places, alpha)] * 2


@pytest.mark.parametrize(("kind", "precision"), [("cnn", "float32"), ("linear", "float32"), ("cnn", "bfloat16")])
def test_the_network_is_what_was_trained(kind, precision):
    settings = dataclasses.replace(SMALL, kind=kind, precision=precision, epochs=2)
    trained = trials.train(ARMS["none"], training_set(), validation_set(), amount=None, settings=settings, seed=0)
    features = validation_set().features
    network = trained.network()
    np.testing.assert_allclose(network(features), trained.probabilities(features), atol=1e-6)
    for weight, value in zip(network.get_weights(), trained.weights):
        np.testing.assert_array_equal(weight, value)
    # the channel that never fires counts for nothing
    loud = features + np.array([0, 0, 1000], np.float32)
    np.testing.assert_array_equal(trained.probabilities(loud), trained.probabilities(features))


def test_the_best_epoch_is_kept_and_patience_ends():
    # Wrong labels: the better the network fits the training patients, the worse it does here.
    validation = validation_set()
    wrong = validation._replace(labels=1 - validation.labels)
    settings = dataclasses.replace(SMALL, epochs=40, patience=3)
    trained = trials.train(ARMS["none"], training_set(), wrong, amount=None, settings=settings, seed=0)
    losses = trained.validation_losses
    assert trained.validation_loss == min(losses) == losses[trained.best_epoch]
    assert len(losses) == len(trained.losses) == trained.best_epoch + 3 + 1 < 40
    found = patient_log_loss(wrong.patients, wrong.labels, trained.probabilities(wrong.features))
    assert found == pytest.approx(trained.validation_loss, rel=1e-6)
    assert losses[-1] > trained.validation_loss


@pytest.mark.parametrize("name", [name for name, arm in ARMS.items() if arm.takes_amount])
def test_synthesisers_see_training_patients_only(name):
    # Other validation patients: the extra samples are the same, and so is all that is learnt from them.
    arm, training = filled(ARMS[name]), training_set()
    seen = []

    def spy(given, counts, seed):
        seen.append((given, counts, arm.synthesise(given, counts, seed)))
        return seen[-1][-1]

    spied = dataclasses.replace(arm, synthesise=spy)
    settings = dataclasses.replace(SMALL, epochs=2)
    losses = [
        trials.train(spied, training, validation_set(seed), amount=0, settings=settings, seed=0).losses
        for seed in (1, 9)
    ]
    assert losses[0] == losses[1]
    assert all(given is training and counts == {0: 8, 1: 0} for given, counts, _ in seen)
    np.testing.assert_array_equal(seen[0][2].features, seen[1][2].features)


@pytest.mark.parametrize(
    ("name", "amount", "words"),
    [
        ("none", 0.0, "none takes no amount, received 0"),
        ("smote", None, "smote needs an amount, received None"),
        ("acgan", 0.0, "acgan draws from a pool"),
        ("smote", -1.0, "from 0, received -1"),
    ],
)
def test_arms_and_amounts_that_do_not_fit_are_refused(name, amount, words):
    with pytest.raises(ValueError, match=words):
        trials.train(ARMS[name], training_set(), validation_set(), amount=amount, settings=SMALL, seed=0)


def test_no_validation_patient_is_refused():
    nobody = Validation(*(part[:0] for part in validation_set()))
    with pytest.raises(ValueError, match="needs validation patients"):
        trials.train(ARMS["none"], training_set(), nobody, amount=None, settings=SMALL, seed=0)


def test_a_patient_on_both_sides_is_refused():
    validation = validation_set()._replace(patients=np.array(["v0"] * 3 + ["t5"] * 4))
    with pytest.raises(RuntimeError, match="patient t5 is in two splits"):
        trials.train(ARMS["none"], training_set(), validation, amount=None, settings=SMALL, seed=0)


def test_a_loss_that_is_not_finite_stops_with_a_word():
    with pytest.raises(InputError, match=r"arm none stopped in epoch \d+: .*lower the classifier's learning rate"):
        trials.train(
            ARMS["none"],
            training_set(),
            validation_set(),
            amount=None,
            settings=dataclasses.replace(SMALL, learning_rate=1e38),
            seed=0,
        )
