import numpy as np
import pytest
from scipy import stats

from rembrandt_featgen.measures import segmentation


def test_dice_of_patients_by_hand():
    # "b": 3 of 4 pixels found beside one false one, and 0 of 2; "a": nothing to find, one false pixel; "c": all of it
    measures = segmentation.volume_measures(
        np.array(["b", "a", "b", "c"]),
        overlap=np.array([3.0, 0.0, 0.0, 5.0]),
        predicted=np.array([4.0, 1.0, 0.0, 5.0]),
        tumour=np.array([4.0, 0.0, 2.0, 5.0]),
    )
    found = {name: row["dice"] for name, row in measures.items()}
    assert list(found) == ["a", "b", "c"]
    assert np.isnan(found["a"])
    assert (found["b"], found["c"]) == (pytest.approx(2 * 3 / 10), 1.0)


@pytest.mark.parametrize("values", [[0.5, 0.7], [0.4, 0.5, 0.6, 0.45], [0.61] * 2 + [0.6] * 30])
def test_mean_interval_is_scipys(values):
    values = np.array(values)
    sem = stats.sem(values)
    wanted = np.clip(stats.t.interval(0.95, len(values) - 1, values.mean(), sem), 0, 1)
    assert segmentation.mean_interval(values) == pytest.approx(tuple(wanted))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0.5, 0.5, 0.5], (0.5, 0.5)),
        ([0.0, 1.0], (0.0, 1.0)),  # 0.5 +- 6.4, cut to what dice can be
        # sem of (0.4, 0.5, 0.6) is 0.1 / sqrt(3), t quantile 4.3027
        ([0.4, 0.5, 0.6], (0.5 - 4.302653 * 0.1 / np.sqrt(3), 0.5 + 4.302653 * 0.1 / np.sqrt(3))),
    ],
)
def test_mean_interval_by_hand(values, wanted):
    assert segmentation.mean_interval(np.array(values)) == pytest.approx(wanted)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_mean_interval_needs_two_values(values):
    assert np.isnan(segmentation.mean_interval(np.array(values))).all()


def test_measures_of_volumes_by_hand():
    # "b": 3 of 6 pixels found beside one false one, in two slices; "a": nothing to find; "c": nothing predicted
    found = segmentation.volume_measures(
        np.array(["b", "a", "b", "c"]),
        overlap=np.array([3.0, 0.0, 0.0, 0.0]),
        predicted=np.array([4.0, 1.0, 0.0, 0.0]),
        tumour=np.array([4.0, 0.0, 2.0, 5.0]),
    )
    assert list(found) == ["a", "b", "c"]
    assert set(found["b"]) == set(segmentation.VOLUME_MEASURES)
    assert np.isnan(list(found["a"].values())).all()
    wanted = {"dice": 6 / 10, "iou": 3 / 7, "sensitivity": 0.5, "precision": 0.75, "volume_error": -2 / 6}
    assert found["b"] == pytest.approx(wanted)
    assert (found["c"]["dice"], found["c"]["iou"], found["c"]["sensitivity"]) == (0.0, 0.0, 0.0)
    assert np.isnan(found["c"]["precision"])
    assert found["c"]["volume_error"] == -1.0


def test_measures_over_volumes_count_those_in_which_they_are_defined():
    row = dict.fromkeys(segmentation.VOLUME_MEASURES, 0.0)
    rows = {"a": row | {"dice": np.nan}, "b": row | {"dice": 0.9, "volume_error": 3.0}, "c": row | {"dice": 0.5}}
    found = segmentation.over_volumes(rows | {"d": row | {"dice": 0.4}})
    assert (found["dice"]["volumes"], found["iou"]["volumes"]) == (3, 4)
    assert found["dice"]["mean"] == pytest.approx(0.6)
    assert found["dice"]["median"] == pytest.approx(0.5)
    low, high = segmentation.t_interval(np.array([0.9, 0.5, 0.4]))
    assert high > 1
    assert found["dice"]["ci95"] == pytest.approx((max(low, 0), min(high, 1)))
    low, high = segmentation.t_interval(np.array([0.0, 3.0, 0.0, 0.0]))
    assert high > 1
    assert found["volume_error"]["ci95"] == pytest.approx((max(low, -1), high))  # an error may have either sign
    assert np.isnan(segmentation.over_volumes({"a": row})["iou"]["ci95"]).all()
    nothing = segmentation.over_volumes({"a": dict.fromkeys(segmentation.VOLUME_MEASURES, np.nan)})
    assert nothing["dice"]["volumes"] == 0
    assert np.isnan(nothing["dice"]["mean"])
