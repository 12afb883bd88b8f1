import numpy as np
import pytest

from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.interpretation import overlays

SLICE = {"image": ((16, 16, 2), "float32"), "mask": ((16, 16, 1), "uint8")}
# Patient to label and to the pixels of tumour in each of its slices; slice n of all has image n everywhere.
VOLUMES = {"A": (1, [0, 9, 4]), "B": (0, [1, 1]), "C": (1, [0, 0]), "D": (0, [2, 16, 3]), "E": (1, [25])}
NAMES = ("images", "truths", "predictions", "dice", "patients", "labels")


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    folder, number = tmp_path_factory.mktemp("slices"), 0
    with Writer(folder, "test", SLICE, per_shard=3) as writer:
        for patient, (label, areas) in VOLUMES.items():
            for position, area in enumerate(areas):
                mask = np.zeros((16, 16, 1))
                mask.flat[:area] = 1
                image = np.stack([np.full((16, 16), number), np.full((16, 16), 99)], -1)
                writer.write({"image": image, "mask": mask}, patient, slice_index=position, label=label)
                number += 1
    return folder


def everything(images):
    """A network that takes all for tumour, in float32."""
    return np.ones((*images.shape[:3], 1), np.float32)


def saved(folder, slices, dice):
    overlays.save_overlays(
        folder / "overlays.npz", everything, slices, by_volume={name: {"dice": value} for name, value in dice.items()}
    )
    with np.load(folder / "overlays.npz") as arrays:
        return dict(arrays)


def test_the_slice_with_most_tumour_of_first_patients_and_the_most_wrong_of_worst(slices, tmp_path):
    found = saved(tmp_path, slices, {"A": 0.9, "B": 0.2, "C": np.nan, "D": 0.0, "E": 0.4})
    assert set(found) == {*NAMES, *(f"worst_{name}" for name in NAMES)}
    assert found["patients"].tolist() == ["A", "B", "C", "D", "E"]
    assert found["dice"][0] == pytest.approx(2 * 9 / (9 + 256), abs=1e-4)  # of the slice
    assert found["worst_patients"].tolist() == ["D", "B", "E"]
    assert found["worst_dice"].tolist() == pytest.approx([0.0, 0.2, 0.4])  # of the volume
    assert found["worst_labels"].tolist() == [0, 0, 1]
    assert found["worst_images"][:, 0, 0].tolist() == [7, 3, 10]  # first channel of those with 2, 1, 25 pixels
    assert found["worst_truths"].sum((1, 2)).tolist() == [2, 1, 25]
    assert found["worst_predictions"].shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("dice", "worst"),
    [({"A": 0.5, "C": None}, ["A"]), ({"D": 0.1, "A": 0.1, "B": np.nan}, ["A", "D"]), ({"C": None}, []), ({}, [])],
)
def test_fewer_than_three_volumes_with_tumour(slices, tmp_path, dice, worst):
    found = saved(tmp_path, slices, dice)
    assert found["worst_patients"].tolist() == worst
    assert found["worst_images"].shape == found["worst_predictions"].shape == (len(worst), 16, 16)
    assert len(found["worst_dice"]) == len(worst)
