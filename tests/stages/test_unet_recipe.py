"""The recipe of segmentation through its stage: it learns, says what it did, and resumes."""

import shutil

import numpy as np
import pytest

from rembrandt_featgen.core import json_files
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.segmentation import collapse, tensorlayer_files, unet_callbacks
from rembrandt_featgen.stages import train_unet

RECIPE = {
    "unet_width": 2,
    "unet_batch": 8,
    "unet_steps": 18,
    "unet_validate_every": 6,
    "unet_loss": "dice_ce",
    "unet_optimizer": "adamw",
    "unet_learning_rate": 5e-3,
    "unet_sampling": "patients",
    "augmentation": "standard",
    "seed": 5,
}


def trained(prepared, folder, **changes):
    """History, figures and best weights of a run in `folder`."""
    if not folder.exists():
        shutil.copytree(prepared, folder)
    train_unet.run(train_unet.Config(str(folder), **{**RECIPE, **changes}))
    best = tensorlayer_files.read(folder / "unet" / "best.npz").arrays
    record = json_files.read_json(folder / "unet" / "stage.json")
    return json_files.read_json(folder / "unet" / "history.json"), record["figures"], best


@pytest.fixture(scope="module")
def unbroken(prepared, tmp_path_factory):
    """What `trained` returns, and the folder as a kill in epoch 2 would leave it."""
    folder = tmp_path_factory.mktemp("unbroken")
    show = unet_callbacks.SegmentationImages.on_epoch_end

    def show_and_copy(self, epoch, logs=None):
        if epoch == 1:
            shutil.copytree(folder / "run", folder / "killed")
        show(self, epoch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unet_callbacks.SegmentationImages, "on_epoch_end", show_and_copy)
        return trained(prepared, folder / "run"), folder / "killed"


def test_history_has_each_epoch_and_what_chose_the_best(unbroken):
    (history, figures, _), _ = unbroken
    assert all(len(values) == 3 for values in history.values())
    assert {"tumour_found", "val_tumour_found", "val_volume_dice", "collapsed", "collapses"} < set(history)
    allowed = [epoch for epoch in range(3) if not history["collapsed"][epoch]] or range(3)
    assert figures["best_epoch"] == max(allowed, key=lambda epoch: history["val_volume_dice"][epoch])
    assert figures["collapses"] == []
    assert history["loss"][-1] < history["loss"][0]


def test_killed_and_resumed_is_as_unbroken(prepared, unbroken):
    wanted, killed = unbroken
    assert len(json_files.read_json(killed / "unet.part" / "history.json")["loss"]) == 1
    found = trained(prepared, killed)
    assert found[0] == wanted[0]
    for one, other in zip(found[2], wanted[2]):
        np.testing.assert_array_equal(one, other)


def test_collapses_are_recorded_and_survive_the_end(prepared, tmp_path, monkeypatch):
    """A network that does not find nearly all tumour is a collapsed one here; with classes, and half size at first."""
    seen, halve = [], pipelines.halved
    monkeypatch.setattr(pipelines, "halved", lambda *pair: seen.append(pair[0].shape) or halve(*pair))
    monkeypatch.setattr(collapse, "LEAST", 0.999)
    monkeypatch.setattr(collapse, "_FIRST_STEPS", 2)
    monkeypatch.setattr(collapse, "_FIRST_SHARE", 0.5)
    monkeypatch.setattr(unet_callbacks, "_THROUGHOUT", 2)
    quick = {"unet_steps": 6, "unet_validate_every": 2, "unet_half_size": 0.34, "unet_optimizer": "adam"}
    quick |= {"augment": False}
    history, figures, best = trained(prepared, tmp_path / "run", unet_class_weight=0.3, cross_fit=2, **quick)
    (found,) = figures["collapses"]
    assert (found["epoch"], found["back_to_epoch"]) == (2, None)
    assert len(history["loss"]) == 3
    assert [shape[1:] for shape in seen] == [(32, 32, 1)] * 3  # of the network of all, and of those of two parts
    assert "val_class_accuracy" in history and "val_volume_dice" in history
    assert all(np.isfinite(array).all() for array in best)
