import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.data import truth
from rembrandt_featgen.measures.segmentation import mean_interval
from rembrandt_featgen.nn import inference
from rembrandt_featgen.segmentation import scoring

SIZE = 6
EPSILON = 1e-5


def batches(images, masks, patients, size):
    records = {"image": images.astype(np.float32), "mask": masks.astype(np.uint8), "patient": np.array(patients)}
    return tf.data.Dataset.from_tensor_slices(records).batch(size)


def truths(masks, patients):
    """The masks of each patient, on the grid of the slices."""
    for patient in dict.fromkeys(patients):
        mask = np.array([mask for mask, name in zip(masks, patients) if name == patient])[..., 0].astype(bool)
        height, width = mask.shape[1:]
        yield truth.Truth(
            patient, mask, np.array([0, 0, height, width]), np.array([height, width]), np.ones(3), mask.sum((1, 2))
        )


def evaluate(images, masks, patients, *, size, predict=np.asarray):
    return scoring.evaluate(predict, batches(images, masks, patients, size), truths(masks, patients))


@pytest.fixture
def data():
    """Seven slices of three patients; slices 1, 4, 5 and 6 have no tumour, and all of "c" has none."""
    generator = np.random.default_rng(0)
    masks = generator.random((7, SIZE, SIZE, 1)) < 0.4
    masks[[1, 4, 5, 6]] = False
    probabilities = np.clip(0.6 * masks + generator.uniform(0, 0.5, masks.shape), 0, 1)
    probabilities[6] = 0.1
    return probabilities, masks, ["b", "b", "b", "a", "a", "c", "c"]


@pytest.mark.parametrize("size", [1, 3, 7])
def test_agrees_with_numpy(data, size):
    probabilities, masks, patients = data
    found = evaluate(*data, size=size)
    soft, hard, iou = [], [], []
    for probability, mask in zip(probabilities, masks):
        predicted = probability > 0.5
        both = (predicted & mask).sum()
        soft.append(1 - (2 * probability[mask].sum() + EPSILON) / (probability.sum() + mask.sum() + EPSILON))
        hard.append((2 * both + EPSILON) / (predicted.sum() + mask.sum() + EPSILON))
        iou.append((both + EPSILON) / ((predicted | mask).sum() + EPSILON))
    assert found["soft_dice_loss"] == pytest.approx(np.mean(soft), abs=1e-6)
    assert found["hard_dice"] == pytest.approx(np.mean(hard), abs=1e-6)
    assert found["iou"] == pytest.approx(np.mean(iou), abs=1e-6)
    dice = {}
    for patient in "ab":
        own = [i for i, name in enumerate(patients) if name == patient]
        predicted, mask = probabilities[own] > 0.5, masks[own]
        dice[patient] = 2 * (predicted & mask).sum() / (predicted.sum() + mask.sum())
    assert list(found["by_patient"]) == ["a", "b", "c"]
    assert {name: found["by_patient"][name] for name in "ab"} == pytest.approx(dice)
    assert np.isnan(found["by_patient"]["c"])  # nothing to find
    assert found["patient_hard_dice"] == pytest.approx(np.mean(list(dice.values())))
    assert found["patient_hard_dice_ci95"] == pytest.approx(mean_interval(np.array([*dice.values()])))
    assert (found["slices"], found["patients"]) == (7, 3)


def test_by_hand():
    # patient "a": 4 of 4 pixels found beside 2 false ones in slice 0; 0 of 4 found in slice 1
    masks, images = np.zeros((2, 2, 4, 1)), np.zeros((2, 2, 4, 1))
    masks[:, 0] = 1
    images[0, 0], images[0, 1, :2] = 1, 1
    found = evaluate(images, masks, ["a", "a"], size=2)
    assert found["hard_dice"] == pytest.approx((0.8 + 0.0) / 2, abs=1e-5)
    assert found["soft_dice_loss"] == pytest.approx((0.2 + 1.0) / 2, abs=1e-5)
    assert found["iou"] == pytest.approx((4 / 6 + 0.0) / 2, abs=1e-5)
    assert found["by_patient"] == {"a": pytest.approx(2 * 4 / (8 + 6))}  # over the volume, not the slices' mean
    assert found["patient_hard_dice"] == pytest.approx(4 / 7)
    assert np.isnan(found["patient_hard_dice_ci95"]).all()  # one patient has no spread


def test_no_tumour_anywhere():
    nothing = np.zeros((2, 2, 2, 1))
    found = evaluate(nothing, nothing, ["a", "b"], size=2)
    assert found["hard_dice"] == found["iou"] == 1.0  # nothing is wrong
    assert np.isnan(found["patient_hard_dice"])
    assert np.isnan(found["patient_hard_dice_ci95"]).all()
    assert np.isnan(list(found["by_patient"].values())).all()


def test_of_nothing():
    assert scoring.evaluate(np.asarray, [], []) == {}


def test_of_a_keras_network(data):
    network = tf.keras.Sequential([tf.keras.Input((SIZE, SIZE, 1)), tf.keras.layers.Activation("linear")])
    predictions = (inference.runner(network), np.asarray)  # the same images
    found, wanted = (evaluate(*data, size=3, predict=predict) for predict in predictions)
    assert found["iou"] == pytest.approx(wanted["iou"], abs=1e-6)
    assert found["patient_hard_dice"] == wanted["patient_hard_dice"]


def test_a_network_that_predicts_nothing_cannot_hide_behind_empty_slices():
    """Eight of ten slices have no tumour: per slice it scores 0.8, in each volume 0."""
    masks = np.zeros((10, 4, 4, 1))
    masks[[2, 7], 1] = 1
    found = evaluate(np.zeros_like(masks), masks, ["a"] * 5 + ["b"] * 5, size=4)
    assert found["hard_dice"] == pytest.approx(0.8, abs=1e-5)
    assert found["volumes"]["dice"]["mean"] == found["volumes"]["dice"]["median"] == 0.0
    assert found["volumes"]["volume_error"]["mean"] == -1.0
    assert found["with_tumour"]["slices"] == 2
    assert found["with_tumour"]["hard_dice"] == pytest.approx(0.0, abs=1e-5)
    assert found["without_tumour"] == {"slices": 8, "nothing_predicted": 1.0}


def test_volumes_agree_with_dice_of_patients(data):
    found = evaluate(*data, size=3)
    for patient, dice in found["by_patient"].items():
        assert found["by_volume"][patient]["dice"] == pytest.approx(dice, nan_ok=True)
    assert found["volumes"]["dice"]["mean"] == pytest.approx(found["patient_hard_dice"])
    assert found["with_tumour"]["slices"] + found["without_tumour"]["slices"] == found["slices"]
