import numpy as np
import pytest

from rembrandt_featgen.measures import segmentation
from rembrandt_featgen.measures.surfaces import SURFACE_MEASURES, surface_measures


def cube(shape, start, size):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(first, first + length) for first, length in zip(start, size))] = True
    return mask


def by_hand(truth, predicted, spacing):
    """95th percentile and mean of all distances between surface voxels, each to each."""
    found = []
    for mask in (truth, predicted):
        framed = np.pad(mask, 1)
        inside = np.logical_and.reduce([np.roll(framed, step, axis) for axis in range(3) for step in (1, -1)])
        found.append(np.argwhere(framed & ~inside) * spacing)
    gaps = np.sqrt(((found[0][:, None] - found[1][None]) ** 2).sum(-1))
    pooled = np.concatenate([gaps.min(1), gaps.min(0)])
    return np.percentile(pooled, 95), pooled.mean()


def test_agrees_with_all_pairs_of_surface_voxels():
    rng = np.random.default_rng(5)
    compared = 0
    for _ in range(60):
        shape, spacing = rng.integers(1, 8, 3), rng.uniform(0.3, 5, 3)
        truth, predicted = (rng.random(shape) < rng.uniform(0.05, 0.95) for _ in range(2))
        if truth.any() and predicted.any():
            compared += 1
            found = surface_measures(truth, predicted, spacing)
            assert tuple(found.values()) == pytest.approx(by_hand(truth, predicted, spacing), abs=1e-5)
    assert compared > 40


@pytest.mark.parametrize(("axis", "spacing"), [(0, 0.5), (1, 1.25), (2, 6.0)])
def test_flat_cubes_one_behind_the_other_are_as_far_apart_as_they_were_shifted(axis, spacing):
    """One voxel thick and shifted across their plane: every voxel is three steps from the other mask."""
    size = [7, 7, 7]
    size[axis] = 1
    near, far = [1, 1, 1], [1, 1, 1]
    far[axis] = 4
    found = surface_measures(cube((9, 9, 9), near, size), cube((9, 9, 9), far, size), np.array([0.5, 1.25, 6.0]))
    assert found == pytest.approx({"hausdorff95_mm": 3 * spacing, "surface_distance_mm": 3 * spacing})


def test_sphere_in_a_sphere():
    x, y, z = np.ogrid[:48, :48, :24]
    squared = (x - 24) ** 2 + (y - 24) ** 2 + (2 * (z - 12)) ** 2  # slices are 2 mm thick
    found = surface_measures(squared <= 20**2, squared <= 14**2, (1, 1, 2))
    assert found["surface_distance_mm"] == pytest.approx(6, abs=0.5)
    assert found["hausdorff95_mm"] == pytest.approx(6.5, abs=1)


def test_a_mask_itself_is_at_no_distance_and_order_does_not_matter():
    truth, predicted = cube((9, 9, 4), (1, 2, 0), (5, 5, 4)), cube((9, 9, 4), (3, 2, 1), (6, 4, 2))
    assert surface_measures(truth, truth, (1, 1, 5)) == dict.fromkeys(SURFACE_MEASURES, 0.0)
    first, second = surface_measures(truth, predicted, (1, 1, 5)), surface_measures(predicted, truth, (1, 1, 5))
    assert first == pytest.approx(second) and first["surface_distance_mm"] > 0


def test_one_far_voxel_moves_the_mean_but_not_the_percentile():
    truth = cube((40, 12, 12), (1, 1, 1), (9, 9, 9))
    predicted = truth.copy()
    predicted[39, 5, 5] = True
    found = surface_measures(truth, predicted, (1, 1, 1))
    assert found["hausdorff95_mm"] == 0
    assert found["surface_distance_mm"] == pytest.approx(30 / (2 * (9**3 - 7**3) + 1))


@pytest.mark.parametrize("empty", ["truth", "predicted", "both"])
def test_an_empty_mask_has_no_distance(empty):
    masks = {name: cube((4, 4, 4), (1, 1, 1), (2, 2, 2)) for name in ("truth", "predicted")}
    for name in masks:
        masks[name] &= empty not in (name, "both")
    assert np.isnan(list(surface_measures(**masks, spacing=(1, 1, 1)).values())).all()


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((4, 4, 5), (1, 1, 1)), ((4, 4), (1, 1, 1)), ((4, 4, 4), (1, 1)), ((4, 4, 4), (1, 0, 1))],
)
def test_refuses_what_it_cannot_measure(shape, spacing):
    with pytest.raises(ValueError):
        surface_measures(np.ones((4, 4) if len(shape) == 2 else (4, 4, 4)), np.ones(shape), spacing)


def test_over_volumes_takes_rows_with_and_without_distances():
    row = dict.fromkeys(segmentation.VOLUME_MEASURES, 0.5)
    far, near, missed = ({"hausdorff95_mm": value, "surface_distance_mm": value} for value in (8.0, 2.0, np.nan))
    found = segmentation.over_volumes({"a": row | far, "b": row | near, "c": row | missed, "d": row})
    assert (found["dice"]["volumes"], found["hausdorff95_mm"]["volumes"]) == (4, 2)
    assert found["surface_distance_mm"]["mean"] == found["surface_distance_mm"]["median"] == 5.0
    assert set(segmentation.over_volumes({"c": row | missed, "d": row})) == set(segmentation.VOLUME_MEASURES)
    assert segmentation.over_volumes({"d": row | {"dice": None}})["dice"]["volumes"] == 0  # as JSON has NaN
