import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import predictions
from tests.evaluation import simulated

CLASSES = Classes.of(("benign", "malignant"))


def test_predictions_survive_the_file(tmp_path):
    rows = simulated.predictions(
        "smote", [0.25, 0.75], [0, 1], kind="classical", threshold=0.4, slices=2, chosen=False, amount="0.5"
    )
    predictions.write(tmp_path / "p.csv", rows, CLASSES)
    assert predictions.read(tmp_path / "p.csv") == rows


def test_columns_and_digits(tmp_path):
    samples = predictions.Samples(np.array(["A"]), np.array([7]), np.array([1]))
    rows = predictions.rows(samples, np.array([2 / 3], np.float32), arm="baseline", kind="none", classifier="cnn")
    predictions.write(tmp_path / "p.csv", rows, CLASSES)
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "patient,sample,label,arm,kind,amount,classifier,chosen,threshold,p_benign,p_malignant",
        "A,7,malignant,baseline,none,,cnn,1,0.500000,0.333333,0.666667",
    ]
    (row,) = predictions.read(tmp_path / "p.csv")
    assert (row.label, row.positive, row.threshold, row.chosen) == (1, 0.666667, 0.5, True)


def test_more_classes_than_two_survive_the_file(tmp_path):
    row = predictions.Prediction(
        patient="A",
        sample=0,
        label=1,
        arm="none",
        kind="none",
        amount="",
        classifier="cnn",
        chosen=True,
        threshold=0.5,
        probabilities=(0.5, 0.25, 0.25),
    )
    predictions.write(tmp_path / "p.csv", [row], Classes.of(("a", "b", "c")))
    assert predictions.read(tmp_path / "p.csv") == [row]


def test_scores_are_of_patients_by_one_network(tmp_path):
    header = "patient,sample,label,arm,kind,amount,classifier,chosen,threshold,p_benign,p_malignant"
    rows = [
        "B,0,malignant,baseline,none,,cnn,1,0.5,0.2,0.8",
        "A,0,benign,baseline,none,,cnn,1,0.5,0.8,0.2",
        "B,1,malignant,baseline,none,,cnn,1,0.5,0.5,0.5",
        "A,0,benign,augmented,generative,,cnn,1,0.5,0.1,0.9",
    ]
    path = tmp_path / "predictions.csv"
    path.write_text("\n".join([header, *rows]))
    table = predictions.read(path)
    patients, labels, scores = predictions.by_patient(predictions.of_network(table, "baseline", "cnn"))
    assert patients.tolist() == ["A", "B"]
    assert labels.tolist() == [0, 1]
    np.testing.assert_allclose(scores, [0.2, 2 / 3])  # log-odds (ln 4 + 0) / 2 = ln 2


def test_a_class_that_is_no_column_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("patient,sample,label,p_a,p_b\nA,0,c,0.5,0.5\n")
    with pytest.raises(InputError, match="p.csv"):
        predictions.read(tmp_path / "p.csv")
