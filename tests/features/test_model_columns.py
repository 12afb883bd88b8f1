import numpy as np
import pandas as pd
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features import importing, model_columns
from rembrandt_featgen.features.model_columns import ModelColumns

CLASSES = Classes.of(("benign", "malignant"))


@pytest.fixture
def studied(tmp_path):
    """A table of two numbers, an age and a sex."""
    frame = pd.DataFrame(
        {
            "patient": list("abcdef"),
            "label": ["benign", "malignant"] * 3,
            "x": [1.0, 2, 3, 4, 5, 6],
            "y": [2.0, 1, 5, 4, 3, 9],
            "age": [50, 60, None, 40, 30, 20],
            "sex": ["F", "M", "F", "", "M", "F"],
        }
    )
    frame.to_csv(tmp_path / "study.csv", index=False)
    table = importing.read_table(tmp_path / "study.csv", covariates=("age", "sex"))
    return frame, table, tmp_path / "other.csv"


@pytest.mark.parametrize("inputs", ["features", "covariates", "both"])
def test_the_studys_own_file_gives_what_the_study_learnt_from(studied, inputs):
    frame, table, path = studied
    columns = ModelColumns.of_table(table, inputs)
    assert ModelColumns.of_record(columns.record) == columns
    wanted = model_columns.inputs_of(table, inputs)
    assert columns.names == wanted.names
    frame.assign(more=7.0)[["sex", "more", "age", "y", "label", "x", "patient"]].to_csv(path, index=False)
    read = model_columns.read_samples(path, columns, CLASSES)
    np.testing.assert_array_equal(read.values, wanted.values)
    np.testing.assert_array_equal(read.labels, wanted.labels)
    assert read.patients.tolist() == frame["patient"].tolist()


def test_new_patients_need_neither_label_nor_name(studied, caplog):
    frame, table, path = studied
    columns = ModelColumns.of_table(table, "both")
    frame.drop(columns=["label", "patient"]).assign(sex="X", x=5.0).to_csv(path, index=False)  # constant is allowed
    read = model_columns.read_samples(path, columns, CLASSES, labelled=False, flag="--features")
    assert len(set(read.patients)) == 6
    assert (read.values[:, 0] == 5.0).all()
    assert (read.values[:, -2:] == 0).all()  # a value that was never seen


def test_a_patient_with_two_rows_of_one_number_is_refused(studied):
    frame, table, path = studied
    frame.assign(patient=list("abcdee"), label="benign", sample=[0, 0, 0, 0, 1, 1]).to_csv(path, index=False)
    with pytest.raises(InputError, match="a patient has two rows of one number in the column sample"):
        model_columns.read_samples(path, ModelColumns.of_table(table, "both"), CLASSES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drop": "y"}, "lacks 1 of the 2 columns of the model: y; add them"),
        ({"drop": "sex"}, "has no column 'sex', a covariate of the model"),
        ({"drop": "label"}, "has no column 'label'"),
        ({"age": "old"}, "the column 'age' has text, and the model takes numbers"),
        ({"label": "cyst"}, "row 2 has label 'cyst', which is none of the model's classes benign, malignant"),
        ({"patient": ""}, "row 2 has no patient"),
        ({"patient": "a"}, "patient a has label"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(studied, change, message):
    frame, table, path = studied
    frame = frame.drop(columns=change["drop"]) if "drop" in change else frame.assign(**change)
    frame.to_csv(path, index=False)
    with pytest.raises(InputError, match=message) as caught:
        model_columns.read_samples(path, ModelColumns.of_table(table, "both"), CLASSES)
    assert str(caught.value).startswith(f"--test_features={path}")
    assert "\n" not in str(caught.value)
