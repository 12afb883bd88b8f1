import numpy as np
import pytest
from scipy import stats

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation import comparison
from rembrandt_featgen.measures.decisions import two_columns

CLASSES = Classes.of(("LGG", "HGG"))

NAMES = {"arm": "augmented", "classifier": "cnn", "synthetic": 12}
# Two patients of each class; a slice is right when its probability lies on its label's side of 0.5.
PATIENTS = np.array(["h1", "h1", "h1", "h2", "l1", "l1", "l2", "l2"])
LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0])
PROBABILITIES = np.array([0.9, 0.9, 0.4, 0.4, 0.2, 0.2, 0.1, 0.6])


def table_rows(patients, labels, probabilities, *, draws, seed):
    return comparison.table_rows(
        NAMES,
        patients=patients,
        labels=labels,
        probabilities=two_columns(probabilities),
        classes=CLASSES,
        draws=draws,
        seed=seed,
    )


def rows(draws=400, seed=0):
    slices, patients = table_rows(PATIENTS, LABELS, PROBABILITIES, draws=draws, seed=seed)
    assert (slices["unit"], patients["unit"]) == ("slice", "patient")
    return slices, patients


def test_both_rows_are_headed_by_the_arm():
    for row in rows():
        assert {name: row[name] for name in NAMES} == NAMES
        assert list(row)[: len(NAMES) + 1] == [*NAMES, "unit"]


def test_row_of_slices_by_hand():
    row, _ = rows()
    assert row["n"] == {"HGG": 4, "LGG": 4}
    assert row["accuracy"] == {"HGG": 2 / 4, "LGG": 3 / 4, "total": 5 / 8}
    assert row["balanced_accuracy"] == (2 / 4 + 3 / 4) / 2
    # TP 2, FN 2, TN 3, FP 1
    assert row["mcc"] == pytest.approx((2 * 3 - 1 * 2) / np.sqrt(3 * 4 * 4 * 5))
    # of 16 pairs (HGG, LGG): 0.9 and 0.9 beat all four; 0.4 and 0.4 beat three
    assert row["auroc"] == pytest.approx(14 / 16)


def test_row_of_patients_by_hand():
    _, row = rows()
    # odds: h1 (9 x 9 x 2/3)^(1/3) > 1, h2 2/3, l1 1/4, l2 (1/9 x 3/2)^(1/2) < 1
    assert row["n"] == {"HGG": 2, "LGG": 2}
    assert row["accuracy"] == {"HGG": 1 / 2, "LGG": 1.0, "total": 3 / 4}
    assert row["balanced_accuracy"] == 0.75
    assert row["mcc"] == pytest.approx((1 * 2 - 0) / np.sqrt(1 * 2 * 2 * 3))
    assert row["auroc"] == 1.0


def test_class_accuracies_of_patients_have_exact_intervals():
    _, row = rows()
    for name, right, n in (("HGG", 1, 2), ("LGG", 2, 2), ("total", 3, 4)):
        wanted = stats.binomtest(right, n).proportion_ci(0.95, "exact")
        assert row["ci95"][f"accuracy_{name}"] == pytest.approx((wanted.low, wanted.high))


def test_intervals_are_those_of_all_draws_of_patients():
    slices, patients = rows(draws=4000)
    # Drawn HGG: h1 h1, h1 h2 (twice), h2 h2. The best and the worst come in 1 of 4 draws, more than 2.5%.
    assert slices["ci95"]["accuracy_HGG"] == (0.0, pytest.approx(2 / 3))  # slices of h1: 2 of 3 right, of h2 none
    assert slices["ci95"]["accuracy_LGG"] == (0.5, 1.0)
    assert patients["ci95"]["balanced_accuracy"] == (0.5, 1.0)
    # 1 of 16 draws: h2 twice with l2 twice, and h1 twice with l1 twice
    assert slices["ci95"]["balanced_accuracy"] == (pytest.approx(0.25), pytest.approx((2 / 3 + 1) / 2))


def test_groups_are_drawn_instead_of_patients():
    """Slices that are patients, in groups: the intervals are those of slices of patients, and none is exact."""
    each, of = np.array([f"p{number}" for number in range(8)]), {"draws": 400, "seed": 0, "classes": CLASSES}
    data = {"patients": each, "labels": LABELS, "groups": PATIENTS, **of}
    slices, patients = comparison.table_rows(NAMES, probabilities=two_columns(PROBABILITIES), **data)
    for name, interval in rows()[0]["ci95"].items():
        assert slices["ci95"][name] == pytest.approx(interval)
        assert patients["ci95"][name] == pytest.approx(interval)
    p, q = two_columns(PROBABILITIES), two_columns(PROBABILITIES[::-1].copy())
    grouped = comparison.difference(**{**data, "before": p, "after": q})
    alone = comparison.difference(**{**data, "before": p, "after": q, "groups": None})
    assert grouped["difference"] == alone["difference"]
    assert grouped["ci95"] != alone["ci95"]


def test_same_seed_same_intervals():
    generator = np.random.default_rng(0)
    data = np.repeat(np.arange(20), 3), np.repeat(np.arange(20) % 2, 3), generator.random(60)
    first, again, other = (table_rows(*data, draws=200, seed=seed)[0]["ci95"]["auroc"] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_rows_of_three_classes_by_hand():
    classes = Classes.of(("glioma", "meningioma", "pituitary"))
    p = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.6, 0.2, 0.2], [0.2, 0.2, 0.6]])
    slices, patients = comparison.table_rows(
        NAMES,
        patients=np.array(["a", "b", "c", "d"]),
        labels=np.array([0, 1, 1, 2]),
        probabilities=p,
        classes=classes,
        draws=100,
        seed=0,
        thresholds=np.array([0.5, 0.25, 0.25]),  # b is called meningioma: 0.3 / 0.25 > 0.5 / 0.5
    )
    assert slices["n"] == {"glioma": 1, "meningioma": 2, "pituitary": 1}
    assert list(slices["accuracy"]) == ["pituitary", "glioma", "meningioma", "total"]
    assert slices["accuracy"] == {"pituitary": 1.0, "glioma": 1.0, "meningioma": 0.5, "total": 0.75}
    assert patients["balanced_accuracy"] == pytest.approx(2.5 / 3)
    assert slices["auroc_by_class"] == {"glioma": 1.0, "meningioma": 0.75, "pituitary": 1.0}
    assert slices["auroc"] == pytest.approx(2.75 / 3)
    wanted = stats.binomtest(1, 2).proportion_ci(0.95, "exact")
    assert patients["ci95"]["accuracy_meningioma"] == pytest.approx((wanted.low, wanted.high))
    assert {"auroc_by_class.glioma", "auprc_by_class.pituitary", "log_loss", "accuracy_total"} < set(slices["ci95"])


def difference(before, after, patients=("h1", "h2", "l1", "l2"), labels=(1, 1, 0, 0), draws=2000):
    return comparison.difference(
        np.array(patients),
        np.array(labels),
        before=two_columns(before),
        after=two_columns(after),
        classes=CLASSES,
        draws=draws,
        seed=0,
    )


def test_difference_by_hand():
    # before only h1 is right, after all but l1 are
    found = difference([0.9, 0.1, 0.9, 0.9], [0.9, 0.9, 0.9, 0.1])
    assert (found["measure"], found["unit"]) == ("balanced_accuracy", "patient")
    assert found["difference"] == 0.75 - 0.25
    # each class gains 0, 1/2 or 1 as its second patient is drawn never, once or twice: both extremes in 1 of 16 draws
    assert tuple(found["ci95"]) == (0.0, 1.0)
    assert found["patients"] == {"LGG": 2, "HGG": 2}


def test_difference_is_paired():
    """Arms that agree on every patient differ by nothing, however uncertain each is."""
    scores = np.random.default_rng(0).random(30)
    found = difference(scores, scores, patients=np.arange(30), labels=np.arange(30) % 2)
    assert found["difference"] == 0.0
    assert tuple(found["ci95"]) == (0.0, 0.0)


def test_difference_counts_patients_not_slices():
    patients, labels = ["h1"] * 9 + ["h2", "l1", "l2"], [1] * 10 + [0, 0]
    found = difference([0.1] * 9 + [0.9, 0.1, 0.1], [0.9] * 9 + [0.1, 0.1, 0.1], patients=patients, labels=labels)
    assert found["difference"] == 0.0  # one patient won, one lost
    assert tuple(found["ci95"]) == (-0.5, 0.5)


@pytest.mark.parametrize("arms", [(0.9, 0.9), (0.9, 0.1)])
def test_one_patient_of_a_class_gives_no_interval(arms):
    found = difference([0.9, 0.9, arms[0]], [0.9, 0.9, arms[1]], patients=["h1", "h2", "l1"], labels=[1, 1, 0])
    assert found["difference"] == (0.5 if arms[1] < 0.5 else 0.0)
    assert np.isnan(found["ci95"]).all()


def table(before=0.5, after=0.625):
    """Rows of which only the CNN's per patient may be reported."""
    values = {("cnn", "patient", "baseline"): before, ("cnn", "patient", "augmented"): after}
    return [
        {"classifier": kind, "unit": unit, "arm": arm, "balanced_accuracy": values.get((kind, unit, arm), 0.111)}
        for kind in ("cnn", "linear")
        for unit in ("patient", "slice")
        for arm in ("baseline", "augmented")
    ]


@pytest.mark.parametrize(
    ("interval", "start"),
    [
        ((0.01, 0.24), "Synthetic features helped"),
        ((-0.24, -0.01), "Synthetic features harmed"),
        ((-0.10, 0.30), "No evidence that synthetic features helped"),
        ((0.0, 0.30), "No evidence that synthetic features helped"),  # wholly above 0, or it is no evidence
        ((-0.30, 0.0), "No evidence that synthetic features helped"),
        ((0.0, 0.0), "No evidence that synthetic features helped"),
    ],
)
def test_verdict(interval, start):
    found = comparison.verdict(table(), {"difference": 0.125, "ci95": list(interval), "patients": {"HGG": 7, "LGG": 4}})
    low, high = interval
    assert found == (
        f"{start}: balanced accuracy per patient went from 0.50 to 0.62 (difference +0.12, 95% interval {low:+.2f} to "
        f"{high:+.2f}, 11 test patients)."
    )


@pytest.mark.parametrize("interval", [(np.nan, np.nan), (None, None), [None, None], (np.nan, 0.5)])
def test_verdict_without_an_interval(interval):
    found = comparison.verdict(table(), {"difference": 0.5, "ci95": interval, "patients": {"HGG": 2, "LGG": 1}})
    assert found.startswith("Cannot tell: a class has fewer than two test patients")


def test_verdict_of_what_difference_gives():
    found = difference([0.9, 0.9, 0.9, 0.9], [0.9, 0.9, 0.1, 0.1])
    assert comparison.verdict(table(0.5, 1.0), found) == (
        "Synthetic features helped: balanced accuracy per patient went from 0.50 to 1.00 (difference +0.50, 95% "
        "interval +0.50 to +0.50, 4 test patients)."
    )
