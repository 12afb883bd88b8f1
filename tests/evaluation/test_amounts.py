import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation import arms
from rembrandt_featgen.evaluation.amounts import choose_amount
from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.generation import classical
from rembrandt_featgen.generation.training_set import Samples
from tests.evaluation.separable import SMALL, STILL, training_set, validation_set

CLASSES = Classes.of(("LGG", "HGG"))


def _mislabelled_beyond(limit):
    """An arm whose samples are right up to `limit` of label 0, and have the other label beyond."""

    def synthesise(training, wanted, seed):
        extra = classical.repeat(training, wanted, seed)
        return extra if wanted[0] <= limit else Samples(extra.features, 1 - extra.labels)

    return arms.Arm("helpful", synthesise=synthesise)


@pytest.mark.parametrize(("limit", "amount"), [(8, 0.0), (20, 1.0)])
def test_the_amount_is_chosen_by_validation_patients(limit, amount):
    validation = validation_set()
    choice = choose_amount(
        _mislabelled_beyond(limit), training_set(), validation, amounts=[4.0, 1.0, 0.0], settings=SMALL, seed=0
    )
    losses = {row["amount"]: row["validation_loss"] for row in choice.table(CLASSES)}
    assert [one.amount for one in choice.tried] == list(losses) == [0.0, 1.0, 4.0]
    assert choice.amount == choice.trained.amount == min(losses, key=losses.get) == amount
    assert losses[4.0] > 2 * losses[amount]
    np.testing.assert_array_equal(
        choice.validation_probabilities, choice.trained.probabilities(validation.features), strict=True
    )
    # of the mislabelled, LGG's 8 + 4 * 12 count as HGG
    extra = [row["extra"] for row in choice.table(CLASSES)]
    assert extra[0] == {"LGG": 8, "HGG": 0}
    assert extra[1] == ({"LGG": 20, "HGG": 12} if limit == 20 else {"LGG": 12, "HGG": 20})
    assert extra[2] == {"LGG": 48, "HGG": 56}
    assert [row["chosen"] for row in choice.table(CLASSES)] == [one.amount == amount for one in choice.tried]


def test_an_arm_without_amounts_is_trained_once():
    choice = choose_amount(ARMS["none"], training_set(), validation_set(), amounts=[0.0, 1.0], settings=STILL, seed=0)
    assert choice.amount is None
    assert choice.table(CLASSES) == [
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
    choice = choose_amount(arm, training_set(), validation_set(), amounts=[2.0, 0.5], settings=STILL, seed=0)
    assert choice.amount == 0.5
    assert choice.trained.extra == {0: 0, 1: 0}
