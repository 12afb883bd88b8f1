import numpy as np
import pytest

from rembrandt_featgen.data.pipelines import AUGMENTATIONS
from rembrandt_featgen.reporting import paper_figures, run_figures

RNG = np.random.default_rng(0)
IMAGES, MASKS = RNG.normal(size=(4, 8, 8)), RNG.integers(0, 2, (4, 8, 8))


@pytest.fixture
def grids(monkeypatch):
    """Rows and names of each grid that is drawn."""
    seen = []
    monkeypatch.setattr(paper_figures, "grid", lambda rows, names=(): seen.append((rows, names)) or b"png")
    return seen


def titles(rows):
    return [[panel.title for panel in row] for row in rows]


def test_sample_slices(grids):
    figure = paper_figures.sample_slices(IMAGES[:2], MASKS[:2], ["HGG\nA", "LGG\nB"])
    ((rows, names),) = grids
    assert names == ["slice", "mask"]
    assert titles(rows) == [["HGG\nA", "LGG\nB"], ["", ""]]
    np.testing.assert_array_equal([panel.image for panel in rows[0]], IMAGES[:2])
    np.testing.assert_array_equal([panel.image for panel in rows[1]], MASKS[:2])
    assert figure.png == b"png"
    assert figure.alt == "2 slices (HGG A; LGG B), and below each the mask of its tumour."
    assert figure.caption.startswith("Fig. 3: ")


def test_volumes_are_a_row_each(grids):
    figure = paper_figures.volumes(
        {"HGG, A, flair": IMAGES[:3], "LGG, B, t1": IMAGES}, {"HGG, A, flair": MASKS[:3], "LGG, B, t1": MASKS}
    )
    ((rows, names),) = grids
    assert names == ["HGG\nA\nflair", "LGG\nB\nt1"]
    assert [len(row) for row in rows] == [3, 4]
    np.testing.assert_array_equal(rows[1][3].image, IMAGES[3])
    np.testing.assert_array_equal(rows[1][3].truth, MASKS[3])
    assert "of 2 volumes (HGG, A, flair; LGG, B, t1)" in figure.alt
    assert figure.caption.startswith("Fig. 4: ")


@pytest.mark.parametrize(("in_use", "mode"), [(True, "correct"), (True, "reference"), (False, "standard")])
def test_augmentations_in_two_rows(grids, in_use, mode):
    blank = np.zeros((10, 8, 8))
    names = ["as it is", *(f"technique {i}" for i in range(7)), "all together", "all, another draw"]
    figure = paper_figures.augmentations(blank, blank, names, in_use=in_use, mode=mode)
    ((rows, _),) = grids
    assert titles(rows) == [names[:5], names[5:]]
    assert all(panel.truth is not None for row in rows for panel in row)
    assert all(name in figure.alt for name in names)
    assert figure.caption.startswith("Fig. 5: ")
    assert ("--augment=false" in figure.caption) == (not in_use)
    assert (f"--augmentation={mode}" in figure.caption) == (mode != "correct")
    assert ("the augmentations of Table 1" in figure.caption) == (mode != "standard")


def test_each_way_to_augment_has_its_caption():
    assert paper_figures._MODES.keys() == AUGMENTATIONS.keys()


def test_generated_slices_below_real_ones(grids):
    real, made = np.zeros((2, 8, 8)), np.ones((3, 8, 8))
    rows = {"real HGG": (real, None), "synthetic HGG": (made, np.array([True, False, True]))}
    figure = paper_figures.generated_slices(rows, "image_acgan")
    ((panels, names),) = grids
    assert names == ["real HGG", "synthetic HGG"]
    assert titles(panels) == [["", ""], ["accepted", "not accepted", "accepted"]]
    np.testing.assert_array_equal(panels[1][2].image, made[2])
    assert figure.caption.startswith("Slices by the image_acgan, drawn at random")
    assert figure.alt == "Slices in rows: real HGG; synthetic HGG."


def test_before_and_after_show_the_same_slices(grids):
    predictions = {"pre-trained": 0.1 * MASKS, "fine-tuned": 0.9 * MASKS}
    lines = [[f"{name}, dice {i}" for i in range(4)] for name in predictions]
    figure = paper_figures.before_and_after(IMAGES, MASKS, predictions, titles=lines, note="Weights: w.npz.")
    ((rows, names),) = grids
    assert names == ["pre-trained", "fine-tuned"]
    assert titles(rows) == lines
    for row, found in zip(rows, predictions.values()):
        for number, panel in enumerate(row):
            np.testing.assert_array_equal(panel.image, IMAGES[number])
            np.testing.assert_array_equal(panel.truth, MASKS[number])
            np.testing.assert_array_equal(panel.prediction, found[number])
    assert figure.alt.endswith("by the pre-trained and by the fine-tuned U-Net.")
    assert figure.caption == "Fig. 7: segmentation by the pre-trained against the fine-tuned U-Net. Weights: w.npz."


def test_blocks_name_their_sizes(grids):
    maps = {f"conv{i}": RNG.random((2 ** (6 - i), 2 ** (6 - i), 2**i)) for i in range(1, 6)}
    maps |= {f"uconv{i}": RNG.random((2 ** (6 - i), 2 ** (6 - i), 2**i)) for i in range(4, 0, -1)}
    figure = paper_figures.blocks(np.zeros((32, 32)), maps)
    ((rows, _),) = grids
    assert titles(rows) == [
        ["conv1\n32×32×2", "conv2\n16×16×4", "conv3\n8×8×8", "conv4\n4×4×16", "conv5\n2×2×32"],
        ["the slice\n32×32", "uconv4\n4×4×16", "uconv3\n8×8×8", "uconv2\n16×16×4", "uconv1\n32×32×2"],
    ]
    assert "conv5 2×2×32, uconv4 4×4×16" in figure.alt
    assert figure.caption.startswith("Fig. 8: ")


def test_blocks_show_the_nine_most_active_channels_brightest_first(grids):
    levels = np.arange(1.0, 13.0)  # channel 11 fires most
    found = np.ones((4, 4, 12)) * levels
    found[0, 0] = 2 * levels  # the maximum of each
    paper_figures.blocks(np.zeros((64, 64)), {f"conv{i}": found for i in range(1, 6)})
    mosaic = grids[0][0][0][0].image  # 3 x 3 cells of 4 pixels with a blank line between
    assert mosaic.shape == (14, 14)
    assert mosaic[0, 0] == 1.0 and mosaic[1, 1] == 0.5  # each channel in colours of its own
    assert np.nanmax(mosaic) == 1.0


@pytest.mark.parametrize(("name", "number"), [("HGG", 9), ("LGG", 10)])
def test_feature_maps_are_25_of_the_same_channels(monkeypatch, name, number):
    seen = []
    monkeypatch.setattr(run_figures, "feature_maps", lambda *args: seen.append(args) or b"png")
    real, synthetic = RNG.random((3, 3, 40)), RNG.random((3, 3, 40))
    figure = paper_figures.feature_maps(real, synthetic, name=name, number=number)
    ((shown, beside, named),) = seen
    channels = np.argsort(-real.mean((0, 1)))[:25]
    np.testing.assert_array_equal(shown, np.moveaxis(real[..., channels], -1, 0))
    np.testing.assert_array_equal(beside, np.moveaxis(synthetic[..., channels], -1, 0))
    assert named == name
    assert "25 channels" in figure.alt and name in figure.alt
    assert figure.caption.startswith(f"Fig. {number}: ")


def test_gan_curves_show_what_was_measured(curves):
    history = {"d_loss": [3.0, 2.0], "g_loss": [1.0, 1.1], "real_source": [0.5, 0.6], "fake_source": [0.5, 0.4]}
    paper_figures.gan_curves(history, "cgan")
    measured = {"fake_class_accuracy": [0.5, 0.8], "val_real_class_accuracy": [0.4, 0.6], "information": [0.1, 0.2]}
    figure = paper_figures.gan_curves({**history, **measured}, "infogan")
    (without, best), (panels, _) = curves
    assert best is None
    assert list(without) == ["Loss", "Probability of being real"]  # a kind of GAN without class head
    assert panels["Loss"] == {"discriminator": [3.0, 2.0], "generator": [1.0, 1.1]}
    assert panels["Class accuracy by the discriminator"] == {"real, validation": [0.4, 0.6], "synthetic": [0.5, 0.8]}
    assert panels["Mutual information of codes"] == {"bound": [0.1, 0.2]}
    assert figure.alt.startswith("Training curves of the infogan over 2 epochs: Loss; Class accuracy")
    assert figure.caption == "Fig. 11: training of generator and discriminator (infogan)."


def test_sweep_has_a_line_for_each_run(curves):
    histories = {
        name: {"d_loss": [value], "g_loss": [value], "fake_class_accuracy": [value / 1000], "real_source": [0]}
        for name, value in {"64": 64.0, "256": 256.0, "512": 512.0}.items()
    }
    figure = paper_figures.gan_sweep(histories)
    ((panels, _),) = curves
    assert list(panels) == [
        "Loss of the discriminator",
        "Loss of the generator",
        "Class accuracy of synthetic features",
    ]
    assert all(list(series) == ["64", "256", "512"] for series in panels.values())
    assert panels["Class accuracy of synthetic features"]["256"] == [0.256]
    assert figure.alt.endswith("a line for each of 64; 256; 512.")
    assert figure.caption.startswith("Fig. 11: ")


def test_figures_are_drawn_as_png():
    for figure in (
        paper_figures.sample_slices(IMAGES, MASKS, ["a"] * 4),
        paper_figures.gan_curves({"d_loss": [1.0], "g_loss": [1.0]}, "acgan"),
    ):
        assert figure.png.startswith(b"\x89PNG")
