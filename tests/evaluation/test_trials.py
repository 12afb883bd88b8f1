import dataclasses
import math

import numpy as np
import pytest

from rembrandt_featgen.classification import fitting
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import arms, trials
from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.evaluation.trials import Settings, Validation
from rembrandt_featgen.generation import classical
from rembrandt_featgen.generation.classical import Samples, TrainingSet

SHAPE = (6, 6, 3)
SMALL = Settings(filters=4, units=8, epochs=12, patience=0, batch=8, learning_rate=1e-2)
# One step that goes nowhere: its loss is that of the initial weights.
STILL = dataclasses.replace(SMALL, kind="linear", epochs=1, batch=100, learning_rate=0.0)
SCALE = np.array([2.0, 20.0, 0.0], np.float32)  # the last channel never fires


def _features(labels, seed):
    """Separable by the first two channels, in units far apart."""
    features = np.maximum(np.random.default_rng(seed).normal(0.5, 0.3, (len(labels), *SHAPE)), 0.0)
    features[..., 0] += 1.5 * (labels == 1)[:, None, None]
    features[..., 1] += 1.5 * (labels == 0)[:, None, None]
    return (features * SCALE).astype(np.float32)


def _training(lgg=8, hgg=16):
    labels = np.array([0] * lgg + [1] * hgg)
    features = _features(labels, 0)
    features.flags.writeable = False
    return TrainingSet(features, labels, np.array([f"t{i // 2}" for i in range(len(labels))]), SCALE)


def _validation(seed=1):
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    features = _features(labels, seed)
    features.flags.writeable = False
    return Validation(features, labels, np.array(["v0", "v0", "v1", "v2", "v2", "v3", "v4"]))


def _with_pool(arm):
    labels = np.array([0] * 30 + [1] * 30)
    return arms.with_pool(arm, Samples(_features(labels, 2), labels)) if arm.pooled else arm


def _amount(arm):
    return 0.5 if arm.takes_amount else None


def test_a_patients_log_loss_by_hand():
    # v0: mean log-odds of 0.8 and 0.5 is log 2, so 2/3; v1: 0.1; v2 (HGG): 0.9
    found = trials.patient_log_loss(["v0", "v0", "v1", "v2"], [0, 0, 0, 1], [0.8, 0.5, 0.1, 0.9])
    lgg = (-math.log(1 / 3) - math.log(0.9)) / 2
    assert found == pytest.approx((lgg - math.log(0.9)) / 2)
    assert trials.patient_log_loss(["a"], [1], [0.25]) == pytest.approx(math.log(4))


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_learns_and_moves_every_weight(name):
    arm, training, validation = _with_pool(ARMS[name]), _training(), _validation()
    trained = trials.train(arm, training, validation, _amount(arm), SMALL, seed=3)
    assert (trained.arm, trained.amount) == (name, _amount(arm))
    # balanced by 8, and 0.5 * 24 / 2 more of each
    assert trained.extra == ({0: 14, 1: 6} if arm.takes_amount else {0: 0, 1: 0})
    assert trained.validation_loss < 0.6 * trained.validation_losses[0]
    assert ((trained.probabilities(validation.features) > 0.5) == (validation.labels == 1)).all()
    start = fitting.fitter(trained.architecture).initial_weights(3)
    assert len(start) == len(trained.weights) == 14
    for old, new in zip(start, trained.weights):
        assert np.abs(old - new).max() > 1e-3


@pytest.mark.parametrize("name", ["none", "smote", "manifold_mixup"])
def test_the_same_seed_gives_the_same(name):
    arm = ARMS[name]
    first, again, other = (
        trials.train(arm, _training(), _validation(), _amount(arm), SMALL, seed) for seed in (0, 0, 1)
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
    training = _training()
    trained = trials.train(ARMS[name], training, _validation(), None, STILL, 0)
    assert trained.losses == pytest.approx([expected(trained.probabilities(training.features))], rel=1e-5)
    for own, start in zip(trained.weights, fitting.fitter(trained.architecture).initial_weights(0)):
        np.testing.assert_array_equal(own, start)  # all arms of a seed start alike


@pytest.mark.parametrize(
    ("name", "places", "alpha"), [("none", (), 1.0), ("mixup", (0,), 0.2), ("manifold_mixup", (0, 1, 2), 2.0)]
)
def test_where_arms_mix(name, places, alpha, monkeypatch):
    seen = []
    epoch = fitting.Fitter.epoch
    monkeypatch.setattr(fitting.Fitter, "epoch", lambda *args: seen.append(args[5]) or epoch(*args))
    trials.train(ARMS[name], _training(), _validation(), None, dataclasses.replace(SMALL, epochs=2), 0)
    assert seen == [fitting.Mixing(places, alpha)] * 2


@pytest.mark.parametrize(("kind", "precision"), [("cnn", "float32"), ("linear", "float32"), ("cnn", "bfloat16")])
def test_the_network_is_what_was_trained(kind, precision):
    settings = dataclasses.replace(SMALL, kind=kind, precision=precision, epochs=2)
    trained = trials.train(ARMS["none"], _training(), _validation(), None, settings, 0)
    features = _validation().features
    network = trained.network()
    np.testing.assert_allclose(network(features)[:, 0], trained.probabilities(features), atol=1e-6)
    for weight, value in zip(network.get_weights(), trained.weights):
        np.testing.assert_array_equal(weight, value)
    # the channel that never fires counts for nothing
    loud = features + np.array([0, 0, 1000], np.float32)
    np.testing.assert_array_equal(trained.probabilities(loud), trained.probabilities(features))


def test_the_best_epoch_is_kept_and_patience_ends():
    # Wrong labels: the better the network fits the training patients, the worse it does here.
    validation = _validation()
    wrong = validation._replace(labels=1 - validation.labels)
    settings = dataclasses.replace(SMALL, epochs=40, patience=3)
    trained = trials.train(ARMS["none"], _training(), wrong, None, settings, 0)
    losses = trained.validation_losses
    assert trained.validation_loss == min(losses) == losses[trained.best_epoch]
    assert len(losses) == len(trained.losses) == trained.best_epoch + 3 + 1 < 40
    found = trials.patient_log_loss(wrong.patients, wrong.labels, trained.probabilities(wrong.features))
    assert found == pytest.approx(trained.validation_loss, rel=1e-6)
    assert losses[-1] > trained.validation_loss


@pytest.mark.parametrize("name", [name for name, arm in ARMS.items() if arm.takes_amount])
def test_synthesisers_see_training_patients_only(name):
    # Other validation patients: the extra samples are the same, and so is all that is learnt from them.
    arm, training = _with_pool(ARMS[name]), _training()
    seen = []

    def spy(given, counts, seed):
        seen.append((given, counts, arm.synthesise(given, counts, seed)))
        return seen[-1][-1]

    spied = dataclasses.replace(arm, synthesise=spy)
    settings = dataclasses.replace(SMALL, epochs=2)
    losses = [trials.train(spied, training, _validation(seed), 0, settings, 0).losses for seed in (1, 9)]
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
        trials.train(ARMS[name], _training(), _validation(), amount, SMALL, 0)


def test_no_validation_patient_is_refused():
    nobody = Validation(*(part[:0] for part in _validation()))
    with pytest.raises(ValueError, match="needs validation patients"):
        trials.train(ARMS["none"], _training(), nobody, None, SMALL, 0)


def test_a_patient_on_both_sides_is_refused():
    validation = _validation()._replace(patients=np.array(["v0"] * 3 + ["t5"] * 4))
    with pytest.raises(RuntimeError, match="patient t5 is in two splits"):
        trials.train(ARMS["none"], _training(), validation, None, SMALL, 0)


def test_a_loss_that_is_not_finite_stops_with_a_word():
    with pytest.raises(InputError, match=r"arm none stopped in epoch \d+: .*lower the classifier's learning rate"):
        trials.train(ARMS["none"], _training(), _validation(), None, dataclasses.replace(SMALL, learning_rate=1e38), 0)


def _mislabelled_beyond(limit):
    """An arm whose samples are right up to `limit` of LGG, and have the other grade's label beyond."""

    def synthesise(training, wanted, seed):
        extra = classical.repeat(training, wanted, seed)
        return extra if wanted[0] <= limit else Samples(extra.features, 1 - extra.labels)

    return arms.Arm("helpful", synthesise=synthesise)


@pytest.mark.parametrize(("limit", "amount"), [(8, 0.0), (20, 1.0)])
def test_the_amount_is_chosen_by_validation_patients(limit, amount):
    validation = _validation()
    choice = trials.choose_amount(_mislabelled_beyond(limit), _training(), validation, [4.0, 1.0, 0.0], SMALL, 0)
    losses = {row["amount"]: row["validation_loss"] for row in choice.table}
    assert [one.amount for one in choice.tried] == list(losses) == [0.0, 1.0, 4.0]
    assert choice.amount == choice.trained.amount == min(losses, key=losses.get) == amount
    assert losses[4.0] > 2 * losses[amount]
    np.testing.assert_array_equal(
        choice.validation_probabilities, choice.trained.probabilities(validation.features), strict=True
    )
    # of the mislabelled, LGG's 8 + 4 * 12 count as HGG
    extra = [row["extra"] for row in choice.table]
    assert extra[0] == {"LGG": 8, "HGG": 0}
    assert extra[1] == ({"LGG": 20, "HGG": 12} if limit == 20 else {"LGG": 12, "HGG": 20})
    assert extra[2] == {"LGG": 48, "HGG": 56}
    assert [row["chosen"] for row in choice.table] == [one.amount == amount for one in choice.tried]


def test_an_arm_without_amounts_is_trained_once():
    choice = trials.choose_amount(ARMS["none"], _training(), _validation(), [0.0, 1.0], STILL, 0)
    assert choice.amount is None
    assert choice.table == [
        {
            "amount": None,
            "extra": {"LGG": 0, "HGG": 0},
            "validation_loss": choice.trained.validation_loss,
            "best_epoch": 0,
            "epochs": 1,
            "chosen": True,
        }
    ]


def test_of_equal_amounts_the_least_is_taken():
    arm = arms.Arm("vain", synthesise=lambda training, wanted, seed: classical.repeat(training, {}, seed))
    choice = trials.choose_amount(arm, _training(), _validation(), [2.0, 0.5], STILL, 0)
    assert choice.amount == 0.5
    assert choice.trained.extra == {0: 0, 1: 0}
