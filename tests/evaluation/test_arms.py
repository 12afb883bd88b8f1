import numpy as np
import pytest

from rembrandt_featgen.evaluation import arms
from rembrandt_featgen.generation.training_set import Samples, TrainingSet


def test_the_table_has_its_order():
    assert list(arms.ARMS) == [
        "none",
        "class_weights",
        "focal_loss",
        "random_oversampling",
        "smote",
        "borderline_smote",
        "mixup",
        "manifold_mixup",
        "gaussian_noise",
        "interpolation",
        "extrapolation",
        "image_augmentation",
        "acgan",
        "infogan",
        "cgan",
        "image_acgan",
    ]
    assert all(arm.name == name for name, arm in arms.ARMS.items())
    kinds = [arm.kind for arm in arms.ARMS.values()]
    assert kinds == ["none"] + ["classical"] * 11 + ["generative"] * 4


@pytest.mark.parametrize("name", ["none", "class_weights", "focal_loss", "mixup", "manifold_mixup"])
def test_arms_that_add_no_samples_take_no_amount(name):
    assert not arms.ARMS[name].takes_amount
    assert sum(arm.takes_amount for arm in arms.ARMS.values()) == 11


def test_a_pool_is_handed_to_a_copy():
    pool = Samples(np.full((3, 1, 1, 1), 7.0, np.float32), np.array([0, 1, 1]))
    arm = arms.with_pool(arms.ARMS["acgan"], pool)
    features, labels = np.ones((2, 1, 1, 1)), np.array([0, 1])
    training = TrainingSet(features, labels, patients=np.array(["a", "b"]), scale=np.ones(1), num_classes=2)
    extra = arm.synthesise(training, {0: 1, 1: 2}, 0)
    assert extra.labels.tolist() == [0, 1, 1]
    assert (extra.features == 7).all()
    assert (arm.name, arm.kind) == ("acgan", "generative")
    assert arms.ARMS["acgan"].synthesise is None
