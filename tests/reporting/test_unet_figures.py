import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.reporting import run_figures, unet_figures

CLASSES = Classes.of(("benign", "malignant"))
HISTORY = {
    **{name: [0.5, 0.4, 0.3] for name in ("soft_dice_loss", "hard_dice", "iou", "sensitivity")},
    **{f"val_{name}": [0.6, 0.5, 0.4] for name in ("soft_dice_loss", "hard_dice", "iou")},
}
BLANK = np.zeros((2, 4, 4))
ARRAYS = {"images": BLANK, "truths": BLANK, "predictions": BLANK, "patients": ["A", "B"], "labels": [1, 0]}


@pytest.fixture
def drawn(monkeypatch):
    """Images and titles of all overlays that are drawn."""
    seen = []
    draw = lambda images, *arrays, titles: seen.append((images, titles)) or b"png"  # noqa: E731
    monkeypatch.setattr(run_figures, "segmentation_overlays", draw)
    return seen


def test_curves_have_a_line_at_the_best_epoch(curves):
    figure = unet_figures.unet_curves(HISTORY, 1)
    ((panels, best),) = curves
    assert best == 1
    assert list(panels) == ["Soft-dice loss", "Hard dice", "IOU"]
    assert panels["IOU"] == {"training": [0.5, 0.4, 0.3], "validation": [0.6, 0.5, 0.4]}
    assert figure.alt.startswith("Soft-dice loss, hard dice and IOU of the U-Net")
    assert "over 3 epochs" in figure.alt and "best epoch, 2" in figure.alt
    assert figure.caption.startswith("Fig. 6: ") and "collapsed" not in figure.caption


def test_curves_of_volumes_are_drawn_where_they_are_there(curves):
    found = {"val_volume_dice": [0.1, 0.0, 0.7], "tumour_found": [0.2, 0.0, 0.9], "val_tumour_found": [0.3, 0.0, 0.8]}
    figure = unet_figures.unet_curves({**HISTORY, **found}, 2, [{"epoch": 2, "back_to_epoch": 1}])
    ((panels, _),) = curves
    assert panels["Dice of whole volumes"] == {"validation": [0.1, 0.0, 0.7]}
    assert list(panels["Share of the tumour found"]) == ["training", "validation"]
    assert "IOU, dice of whole volumes and share of the tumour found of" in figure.alt
    assert figure.caption.endswith(
        "The U-Net collapsed to predicting next to no tumour in epoch 2 (went on from those of epoch 1)."
    )


def test_a_collapse_is_said_only_where_there_was_one():
    assert unet_figures.collapse_sentence([]) == ""
    twice = [{"epoch": 3, "tumour_found": 0.0, "back_to_epoch": None}, {"epoch": 7, "back_to_epoch": 5}]
    said = unet_figures.collapse_sentence(twice)
    assert said.endswith("in epoch 3 (went on from new weights), 7 (went on from those of epoch 5).")


def test_worst_volumes_say_the_dice_of_the_volume(tmp_path, drawn):
    worst = {f"worst_{name}": array for name, array in {**ARRAYS, "images": BLANK + 1}.items()}
    np.savez(tmp_path / "overlays.npz", **ARRAYS, **worst, dice=[0.5, 0.6], worst_dice=[0.02, 0.31])
    shown = unet_figures.shown_slices(tmp_path / "overlays.npz", CLASSES)
    figure = unet_figures.worst_volumes(tmp_path / "overlays.npz", CLASSES)
    (first, titles), (second, of_worst) = drawn
    assert (first.max(), second.min()) == (0, 1)
    assert titles == ["A, malignant, dice 0.50", "B, benign, dice 0.60"]
    assert of_worst == ["A, malignant, volume's dice 0.02", "B, benign, volume's dice 0.31"]
    assert "2 test volumes of lowest dice" in figure.caption and "A 0.02, B 0.31" in figure.caption
    assert "A 0.02, B 0.31" in figure.alt and "A 0.02" not in shown.caption


def test_no_figure_of_the_worst_where_there_are_none(tmp_path):
    np.savez(tmp_path / "old.npz", **ARRAYS, dice=[0.5, 0.6])
    none = {f"worst_{name}": np.array(array)[:0] for name, array in {**ARRAYS, "dice": [0.5, 0.6]}.items()}
    np.savez(tmp_path / "none.npz", **ARRAYS, dice=[0.5, 0.6], **none)
    assert unet_figures.worst_volumes(tmp_path / "old.npz", CLASSES) is None
    assert unet_figures.worst_volumes(tmp_path / "none.npz", CLASSES) is None
