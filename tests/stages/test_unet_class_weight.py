"""--unet_class_weight through its stage: without it nothing changes, with it the class is learnt and kept apart."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.core import json_files
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines, truth
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.nn import mixed_precision
from rembrandt_featgen.segmentation import (
    losses,
    pretrained,
    tensorlayer_files,
    unet_callbacks,
    unet_export,
)
from rembrandt_featgen.segmentation.unet import build_unet
from rembrandt_featgen.stages import train_unet

EPOCHS, BATCH = 3, 8
SMALL = {"unet_width": 2, "unet_epochs": EPOCHS, "unet_batch": BATCH, "seed": 5, "augment": False}
SMALL |= {"unet_warmup_steps": 0, "unet_monitor": "iou"}  # of the U-Net alone, and as in the paper


class Killed(BaseException):
    """Stands for SIGKILL."""


def finetuned(prepared, folder, **changes):
    """The run folder `folder` with the slices of `prepared` and a trained U-Net."""
    if not folder.exists():
        shutil.copytree(prepared, folder)
    train_unet.run(train_unet.Config(str(folder), **{**SMALL, **changes}))
    return folder


@pytest.fixture(scope="module")
def plain(prepared, tmp_path_factory):
    return finetuned(prepared, tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture(scope="module")
def with_class(prepared, tmp_path_factory):
    return finetuned(prepared, tmp_path_factory.mktemp("with_class") / "run", unet_class_weight=0.5, cross_fit=2)


def history(run):
    return json_files.read_json(run / "unet" / "history.json")


def best(run):
    return tensorlayer_files.read(run / "unet" / "best.npz").arrays


def assert_equal(arrays, others):
    assert len(arrays) == len(others) == 46
    for one, other in zip(arrays, others):
        np.testing.assert_array_equal(one, other)


def test_without_the_flag_the_unet_is_trained_as_by_keras_alone(plain, prepared):
    """To the last bit; the reference is written out, with neither the stage nor its callbacks."""
    figures = json_files.read_json(prepared / "slices" / "stage.json")["figures"]
    tf.keras.utils.set_random_seed(5)
    unet = build_unet(1, 2, initializer="he", prior=figures["tumour_prior"])
    steps = -(-sum(figures["split"]["train"]["slices"].values()) // BATCH)
    rate = tf.keras.optimizers.schedules.CosineDecay(1e-3, steps * EPOCHS)
    unet.compile(mixed_precision.adam(rate), losses.batch_soft_dice_loss, [losses.iou])
    training = pipelines.endless(pipelines.training_slices(prepared / "slices", BATCH, None), 5)
    pairs = pipelines.slice_pairs(prepared / "slices", "validation", BATCH)
    epochs = []
    keep = tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: epochs.append(unet.get_weights()))
    logs = unet.fit(training, epochs=EPOCHS, steps_per_epoch=steps, validation_data=pairs, verbose=0, callbacks=[keep])
    for name, values in logs.history.items():
        found = history(plain)[name]
        assert found == (pytest.approx(values, rel=1e-5) if name.startswith("val_") else values), name
    assert_equal(best(plain), epochs[int(np.argmax(logs.history["val_iou"]))])


def test_logs_of_segmentation_keep_their_names(with_class, plain):
    without, found = history(plain), history(with_class)
    of_head = {f"{split}class_{name}" for split in ("", "val_") for name in ("loss", "accuracy")}
    assert set(without) < set(found)
    assert set(found) - set(without) == of_head
    assert all(len(values) == EPOCHS for values in found.values())
    figures = json_files.read_json(with_class / "unet" / "stage.json")["figures"]
    assert figures["best_epoch"] == int(np.argmax(found["val_iou"]))
    assert figures["parameters"] == build_unet(1, 2).count_params()


def test_tensorboard_has_the_class_on_validation_patients(with_class):
    (path,) = (with_class / "tensorboard" / "unet" / "validation").glob("events.*")
    events = tf.compat.v1.train.summary_iterator(str(path))
    tags = {value.tag for event in events for value in event.summary.value}
    assert {"epoch_class_loss", "epoch_class_accuracy", "epoch_iou"} <= tags


def test_best_npz_holds_the_unet_alone_in_the_order_of_layers(with_class):
    record, slices = (json_files.read_json(with_class / name / "stage.json") for name in ("unet", "slices"))
    unet = unet_export.restore_unet(with_class / "unet", config=record["config"], slices=slices, precision="float32")
    assert_equal(best(with_class), [variable.numpy() for variable in pretrained.variables(unet)])
    found = record["figures"]["segmentation"]["validation"]["soft_dice_loss"]  # another one in each epoch
    assert found == pytest.approx(history(with_class)["val_soft_dice_loss"][record["figures"]["best_epoch"]], rel=1e-6)
    batches = pipelines.slice_pairs(with_class / "slices", "validation", BATCH)
    of_slices = [losses.soft_dice_loss(masks, unet(images)) for images, masks in batches]
    assert found == pytest.approx(np.concatenate(of_slices).mean(), rel=1e-6)


def test_class_reaches_the_encoder(with_class, plain):
    assert history(with_class)["val_soft_dice_loss"] != history(plain)["val_soft_dice_loss"]
    moved = [i for i, (one, other) in enumerate(zip(best(with_class), best(plain))) if np.any(one != other)]
    assert set(range(20)) <= set(moved)  # conv1_1 to conv5_2


def test_resumed_training_is_the_unbroken_one(with_class, prepared, tmp_path, monkeypatch):
    show = unet_callbacks.SegmentationImages.on_epoch_end

    def show_or_die(self, epoch, logs=None):
        if epoch == 1:
            raise Killed
        show(self, epoch, logs)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(unet_callbacks.SegmentationImages, "on_epoch_end", show_or_die)
        finetuned(prepared, tmp_path / "run", unet_class_weight=0.5, cross_fit=2)
    assert len(json_files.read_json(tmp_path / "run" / "unet.part" / "history.json")["loss"]) == 1
    run = finetuned(prepared, tmp_path / "run", unet_class_weight=0.5, cross_fit=2)
    assert json_files.read_json(run / "unet" / "stage.json")["resumed"]
    assert history(run) == history(with_class)
    assert_equal(best(run), best(with_class))


def test_class_without_tumour_is_said(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(truth, "areas", lambda folder, split: np.array(Store(folder, split).labels == 1, np.int64))
    with pytest.raises(InputError, match=r"--unet_class_weight=0\.5 .*none of LGG; take --unet_class_weight=0"):
        finetuned(prepared, tmp_path / "run", unet_class_weight=0.5, cross_fit=2)
    assert not list((tmp_path / "run").glob("unet*"))
