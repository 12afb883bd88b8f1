import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import json_files
from rembrandt_featgen.evaluation import arm_table, out_of_fold_runs, study_report
from rembrandt_featgen.evaluation.predictions import Samples, join, rows
from rembrandt_featgen.measures import decisions
from tests.evaluation.simulated import runs_of

CLASSES = Classes.of(("LGG", "HGG"))


def test_table_compares_with_real_samples_alone():
    """Not with the best arm, which would be known from the test patients only."""
    runs = {"none": runs_of(24), "smote": runs_of(28), "acgan": runs_of(39)}
    kinds = {"none": "none", "smote": "classical", "acgan": "generative"}
    found = arm_table.table(runs, kinds, classes=CLASSES, reference="none", draws=500, seed=0)
    patients = {row["arm"]: row for row in found.rows if row["unit"] == "patient"}
    assert list(patients) == ["none", "smote", "acgan"]
    assert patients["none"]["balanced_accuracy"] == pytest.approx(24 / 40)
    assert patients["none"]["n"] == {"LGG": 20, "HGG": 20}
    assert list(found.differences) == list(found.gaps) == ["smote", "acgan"]
    aurocs = {arm: metrics.roc_auc_score(each[0].labels, each[0].probabilities[:, 1]) for arm, each in runs.items()}
    assert found.differences["acgan"].value == pytest.approx(aurocs["acgan"] - aurocs["none"])
    assert found.differences["acgan"].interval()[0] > 0 and found.differences["acgan"].p_value < 0.001
    assert found.gaps["acgan"].shape == (501, 2)
    assert {row["n"]["HGG"] for row in found.rows if row["unit"] == "slice"} == {60}
    wanted = metrics.balanced_accuracy_score(runs["none"][0].labels, runs["none"][0].probabilities.argmax(axis=1))
    of_slices = next(row for row in found.rows if row["unit"] == "slice")
    assert of_slices["balanced_accuracy"] == pytest.approx(wanted)
    assert patients["acgan"]["p_against_chance"] < 0.001 < 0.05 < patients["none"]["p_against_chance"]


@pytest.mark.parametrize(
    ("kinds", "reference"),
    [
        ({"plain": "none", "none": "none", "smote": "classical"}, "none"),
        ({"covariates": "none", "plain": "none", "smote": "classical"}, "plain"),  # covariates know more
        ({"acgan": "generative", "smote": "classical", "mixup": "classical"}, "smote"),
        ({"acgan": "generative"}, "acgan"),
    ],
)
def test_the_reference_is_named_by_its_kind(kinds, reference):
    assert arm_table.reference_of(kinds) == reference


def test_adding_patients_adds_power():
    runs = runs_of(27)
    assert arm_table.power(runs, 20) < arm_table.power(runs, 80) < arm_table.power(runs, 300) <= 1.0


def test_interval_of_balanced_accuracy_holds_its_value():
    value, (low, high) = arm_table.balanced_accuracy(runs_of(30), draws=500, seed=0)
    assert value == pytest.approx(0.75)
    assert 0.55 < low < value < high < 0.92


def test_three_classes_have_a_table_and_a_verdict():
    classes = Classes.of(("glioma", "meningioma", "pituitary"))
    generator, labels = np.random.default_rng(0), np.arange(45) % 3

    def runs(gain):
        """Two runs of patients with two slices, decided relative to an uneven prior."""
        parts = []
        for seed in range(2):
            p = generator.dirichlet(np.ones(3), 90) + gain * np.eye(3)[np.repeat(labels, 2)]
            samples = Samples(np.repeat([f"P{i}" for i in range(45)], 2), np.tile([0, 1], 45), np.repeat(labels, 2))
            table = rows(
                samples,
                p / p.sum(axis=1, keepdims=True),
                classes=classes,
                arm="x",
                kind="none",
                classifier="mlp",
                thresholds=[0.4, 0.3, 0.3],
                seed=seed,
            )
            parts.append(out_of_fold_runs.gather(table))
        return parts

    each = {"none": runs(0.0), "acgan": runs(1.5)}
    found = arm_table.table(
        each, {"none": "none", "acgan": "generative"}, classes=classes, reference="none", draws=300, seed=0
    )
    none, acgan = (row for row in found.rows if row["unit"] == "patient")
    assert none["p_against_chance"] > 0.01 > 0.001 > acgan["p_against_chance"]
    assert acgan["n"] == {"glioma": 15, "meningioma": 15, "pituitary": 15}
    run = out_of_fold_runs.by_patient(each["acgan"][0])
    wanted = metrics.balanced_accuracy_score(run.labels, (run.probabilities / [0.4, 0.3, 0.3]).argmax(axis=1))
    assert acgan["by_seed"][0] == pytest.approx(wanted)
    assert set(acgan["auroc_by_class"]) == set(classes.names)
    assert found.differences["acgan"].interval()[0] > 0.05
    assert 0.9 < arm_table.power(each["acgan"], 60) <= 1.0
    json_files.plain(found.rows)


# One run. Two patients of each class; a slice is right when its probability lies on its label's side of 0.5.
PATIENTS = np.array(["h1", "h1", "h1", "h2", "l1", "l1", "l2", "l2"])
LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0])
PROBABILITIES = np.array([0.9, 0.9, 0.4, 0.4, 0.2, 0.2, 0.1, 0.6])


def rows_of_run(*arms, patients=PATIENTS, labels=LABELS, classes=CLASSES, draws=400, **options):
    """Rows of arms of one run, the second of which is generative; each is probabilities [n] or [n, classes]."""
    samples = Samples(np.asarray(patients), np.arange(len(labels)), np.asarray(labels))
    tables = []
    for name, kind, p in zip(("baseline", "augmented"), ("none", "generative"), arms):
        p = decisions.two_columns(p) if np.ndim(p) == 1 else p
        tables.append(rows(samples, p, classes=classes, arm=name, kind=kind, classifier="cnn", **options))
    return study_report.arm_rows(join(tables), draws=draws, seed=0)[0]


def hand_rows(draws=400):
    patients, slices = rows_of_run(PROBABILITIES, draws=draws)
    assert (slices["unit"], patients["unit"]) == ("slice", "patient")
    return slices, patients


def test_row_of_slices_by_hand():
    row, _ = hand_rows()
    assert row["n"] == {"HGG": 4, "LGG": 4}
    assert row["accuracy"] == {"HGG": 2 / 4, "LGG": 3 / 4, "total": 5 / 8}
    assert row["balanced_accuracy"] == (2 / 4 + 3 / 4) / 2
    # TP 2, FN 2, TN 3, FP 1
    assert row["mcc"] == pytest.approx((2 * 3 - 1 * 2) / np.sqrt(3 * 4 * 4 * 5))
    # of 16 pairs (HGG, LGG): 0.9 and 0.9 beat all four; 0.4 and 0.4 beat three
    assert row["auroc"] == pytest.approx(14 / 16)


def test_row_of_patients_by_hand():
    _, row = hand_rows()
    # odds: h1 (9 x 9 x 2/3)^(1/3) > 1, h2 2/3, l1 1/4, l2 (1/9 x 3/2)^(1/2) < 1
    assert row["n"] == {"HGG": 2, "LGG": 2}
    assert row["accuracy"] == {"HGG": 1 / 2, "LGG": 1.0, "total": 3 / 4}
    assert row["balanced_accuracy"] == 0.75
    assert row["mcc"] == pytest.approx((1 * 2 - 0) / np.sqrt(1 * 2 * 2 * 3))
    assert row["auroc"] == 1.0


def test_class_accuracies_of_patients_have_exact_intervals():
    _, row = hand_rows()
    for name, right, n in (("HGG", 1, 2), ("LGG", 2, 2), ("total", 3, 4)):
        wanted = stats.binomtest(right, n).proportion_ci(0.95, "exact")
        assert row["ci95"][f"accuracy_{name}"] == pytest.approx((wanted.low, wanted.high))


def test_intervals_are_those_of_all_draws_of_patients():
    slices, patients = hand_rows(draws=4000)
    # Drawn HGG: h1 h1, h1 h2 (twice), h2 h2. The best and the worst come in 1 of 4 draws, more than 2.5%.
    assert slices["ci95"]["accuracy_HGG"] == (0.0, pytest.approx(2 / 3))  # slices of h1: 2 of 3 right, of h2 none
    assert slices["ci95"]["accuracy_LGG"] == (0.5, 1.0)
    assert patients["ci95"]["balanced_accuracy"] == (0.5, 1.0)
    # 1 of 16 draws: h2 twice with l2 twice, and h1 twice with l1 twice
    assert slices["ci95"]["balanced_accuracy"] == (pytest.approx(0.25), pytest.approx((2 / 3 + 1) / 2))


def test_rows_of_three_classes_by_hand():
    classes = Classes.of(("glioma", "meningioma", "pituitary"))
    p = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.6, 0.2, 0.2], [0.2, 0.2, 0.6]])
    patients, slices = rows_of_run(
        p,
        patients=["a", "b", "c", "d"],
        labels=[0, 1, 1, 2],
        classes=classes,
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


def difference(*arms, patients=("h1", "h2", "l1", "l2"), labels=(1, 1, 0, 0)):
    of_arms = rows_of_run(*map(np.array, arms), patients=patients, labels=labels, draws=2000)
    return next(row for row in of_arms if row["arm"] == "augmented")["difference"]


def test_difference_by_hand():
    # before h1 beats one of two and h2 none, after both beat both
    found = difference([0.6, 0.1, 0.3, 0.9], [0.8, 0.9, 0.1, 0.2])
    assert (found["against"], found["measure"], found["trainings"]) == ("baseline", "auroc", 1)
    assert found["difference"] == 1.0 - 1 / 4
    low, high = found["ci95"]
    # draws of two patients of each class: AUROC before is 1 where h1 and l1 are drawn twice, in 1 of 16, else less
    before = [(h1 + h1b) / 2 * (l1 + l1b) / 2 for h1 in (0, 1) for h1b in (0, 1) for l1 in (0, 1) for l1b in (0, 1)]
    assert found["error"] == pytest.approx(np.std(before), rel=0.05)
    assert (low + high) / 2 == pytest.approx(0.75)
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 1) * found["error"])  # one degree of freedom
    assert found["simultaneous95"][0] <= low and found["simultaneous95"][1] >= high


def test_difference_counts_patients_not_slices():
    patients, labels = ["h1"] * 9 + ["h2", "l1", "l2"], [1] * 10 + [0, 0]
    found = difference([0.1] * 9 + [0.9, 0.2, 0.2], [0.9] * 9 + [0.1, 0.2, 0.2], patients=patients, labels=labels)
    assert found["difference"] == 0.0  # one patient won, one lost


@pytest.mark.parametrize("last", [0.9, 0.1])
def test_one_patient_of_a_class_gives_no_interval(last):
    found = difference([0.9, 0.9, 0.9], [0.9, 0.9, last], patients=["h1", "h2", "l1"], labels=[1, 1, 0])
    assert found["difference"] == (0.5 if last < 0.5 else 0.0)
    assert np.isnan(found["p_adjusted"])
    assert np.isnan(found["ci95"]).all()


def test_an_arm_alone_is_its_own_reference():
    alone = arm_table.table(
        {"augmented": runs_of(30)}, {"augmented": "generative"}, classes=CLASSES, reference="augmented", draws=9, seed=0
    )
    assert alone.differences == alone.gaps == {}
