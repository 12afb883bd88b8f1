import numpy as np
import pytest

from rembrandt_featgen.interpretation.explanations import ChannelMaximum, ClassMaximum, Explanation
from rembrandt_featgen.reporting import attribution_figures

ONES = np.ones((4, 4))


@pytest.fixture
def grids(monkeypatch):
    """Rows and names of each grid that is drawn."""
    seen = []
    monkeypatch.setattr(attribution_figures, "grid", lambda rows, names=(): seen.append((rows, names)) or b"png")
    return seen


def test_grad_cam_has_a_column_for_each_decision(grids):
    examples = [
        Explanation("A, HGG\np(HGG) 0.83", ONES, 2 * ONES, 3 * ONES, 4 * ONES),
        Explanation("synthetic LGG\np(HGG) 0.10", 5 * ONES, 6 * ONES, 7 * ONES),
    ]
    figure = attribution_figures.grad_cam(examples, "augmented_cnn")
    ((rows, names),) = grids
    assert names == ["slice or feature", "Grad-CAM", "saliency"]
    assert [panel.title for panel in rows[0]] == ["A, HGG\np(HGG) 0.83", "synthetic LGG\np(HGG) 0.10"]
    assert [panel.image[0, 0] for row in rows for panel in row] == [1, 5, 1, 5, 3, 7]
    assert [panel.heat[0, 0] for panel in rows[1]] == [2, 6]
    assert rows[0][0].truth[0, 0] == 4 and rows[0][1].truth is None
    assert "(A, HGG p(HGG) 0.83; synthetic LGG p(HGG) 0.10)" in figure.alt
    assert "(augmented_cnn)" in figure.caption


CHANNELS = [
    ChannelMaximum(
        "U-Net conv5 channel 7", "HGG", ONES, (2 * ONES, np.ones((2, 2))), 3 * np.ones((2, 2)), (0.5, 0.25, 0.0123)
    ),
    ChannelMaximum(
        "U-Net conv5 channel 3", "LGG", ONES, (2 * ONES, np.ones((2, 2))), 3 * np.ones((2, 2)), (0.5, 0.25, 0.0123)
    ),
]


def test_what_a_channel_looks_for_beside_real_and_synthetic(grids):
    figure = attribution_figures.activation_maximisation(CHANNELS, [])
    ((rows, names),) = grids
    assert names == ["U-Net conv5 channel 7,\nmore in HGG", "U-Net conv5 channel 3,\nmore in LGG"]
    assert [panel.title for panel in rows[0]] == [
        "maximised slice\nmean 0.5",
        "real slice and its map\nmean 0.25",
        "map in a synthetic feature\nmean 0.012",
    ]
    assert [panel.image[0, 0] for panel in rows[1]] == [1, 2, 3]
    assert rows[0][1].heat.shape == (2, 2)
    assert figure.alt == (
        "What maximises U-Net conv5 channel 7 and U-Net conv5 channel 3, beside a real and a synthetic counterpart."
    )
    assert figure.caption.endswith("The discriminator has no class head to maximise.")


def test_a_channel_without_synthetic_counterpart(grids):
    attribution_figures.activation_maximisation([CHANNELS[0]._replace(synthetic=None, means=(0.5, 0.25))], [])
    assert [len(row) for row in grids[0][0]] == [2]


def test_what_the_class_head_takes_for_a_grade(grids):
    maximised, real, synthetic = np.zeros((3, 2, 2, 30))
    real[...] = np.arange(30.0)  # channel 29 fires most
    maximised[..., 29], synthetic[..., 29] = 58.0, 14.5
    figure = attribution_figures.activation_maximisation(
        CHANNELS, [ClassMaximum("LGG", [maximised, real, synthetic], (4.71, -0.6, 0.1))]
    )
    rows, names = grids[0]
    assert names[2] == "discriminator,\nLGG"
    assert [panel.title for panel in rows[2]] == [
        "maximised feature, +4.7",
        "real feature, \N{MINUS SIGN}0.6",
        "synthetic feature, +0.1",
    ]
    # a channel has the same colours in all three; its brightest value is 1
    assert [panel.image[0, 0] for panel in rows[2]] == [1.0, 0.5, 0.25]
    assert rows[2][0].image.shape == (14, 14)  # 5 x 5 channels of 2 pixels with a blank line between
    assert "what the discriminator takes for LGG" in figure.alt
    assert "no class head" not in figure.caption
