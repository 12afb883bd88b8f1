from pathlib import Path

import numpy as np
import pytest

from rembrandt_featgen.cohort import patient_files
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.core import json_files
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.features.run_tables import flattened, table_of_run
from rembrandt_featgen.features.stored_tables import write_table
from rembrandt_featgen.features.tables import table_of_arrays

CLASSES = Classes.of(("stable", "growing", "gone"))
MAPS = np.random.default_rng(0).random((5, 2, 3, 4), np.float32)
PATIENTS = ["A_1", "A_1", "B_2", "B_2", "B_3"]


@pytest.fixture
def run_dir(tmp_path):
    """A run that has maps of five slices, and vectors of three patients."""
    for name in ("features", "vectors"):
        (tmp_path / name).mkdir()
        record = {"classes": CLASSES.record, "inputs": {}, "figures": {}, "config": {}}
        json_files.write_json(tmp_path / name / "stage.json", record)
    with Writer(tmp_path / "features", "train", {"feature": (MAPS.shape[1:], "float32")}) as writer:
        for number, (feature, patient) in enumerate(zip(MAPS, PATIENTS)):
            writer.write({"feature": feature}, patient, slice_index=10 + number, label=[0, 0, 2, 2, 1][number])
    vectors = table_of_arrays(np.eye(3), [0, 2, 1], classes=CLASSES, patients=["A_1", "B_2", "B_3"])
    write_table(tmp_path / "vectors" / "train.parquet", vectors, np.full(3, "train"))
    return tmp_path


def test_maps_of_a_run(run_dir):
    table = table_of_run(run_dir, "extract_features", "train", site_pattern="([A-Z])_")
    np.testing.assert_array_equal(table.values, MAPS)
    assert (table.patients.tolist(), table.groups.tolist()) == (PATIENTS, PATIENTS)
    assert (table.labels.tolist(), table.samples.tolist()) == ([0, 0, 2, 2, 1], [10, 11, 12, 13, 14])
    assert (table.sites.tolist(), table.classes, table.signed) == (["A", "A", "B", "B", "B"], CLASSES, False)
    assert table.names == ("channel_0", "channel_1", "channel_2", "channel_3")


def test_maps_as_vectors(run_dir):
    means = table_of_run(run_dir, "extract_features", "train", pooled=True)
    np.testing.assert_allclose(means.values, MAPS.mean((1, 2)), rtol=1e-6)
    flat = flattened(table_of_run(run_dir, "extract_features", "train"))
    assert flat.values.shape == (5, 24)
    for name, row, column, channel in (
        ("channel_0_0_0", 0, 0, 0),
        ("channel_3_1_0", 1, 0, 3),
        ("channel_1_0_2", 0, 2, 1),
    ):
        np.testing.assert_array_equal(flat.values[:, flat.names.index(name)], MAPS[:, row, column, channel])


def test_vectors_of_a_run(run_dir):
    table = table_of_run(run_dir, "extract_vectors", "train")
    np.testing.assert_array_equal(table.values, np.eye(3))
    assert (table.labels.tolist(), table.sites, table.classes) == ([0, 2, 1], None, CLASSES)


def test_what_is_not_there_is_one_line(run_dir, tmp_path):
    with pytest.raises(InputError, match="test.jsonl is missing or damaged"):
        table_of_run(run_dir, "extract_features", "test")
    with pytest.raises(InputError, match="test.parquet is missing or damaged"):
        table_of_run(run_dir, "extract_vectors", "test")
    with pytest.raises(
        InputError, match="there is no finished vectors/ in it; run it first with python -m .*extract_vectors"
    ):
        table_of_run(tmp_path / "other", "extract_vectors", "test")


def with_slices(run_dir, **changes):
    """A run whose slices know its patients."""
    (run_dir / "slices").mkdir(exist_ok=True)
    json_files.write_json(
        run_dir / "slices" / "stage.json", {"classes": CLASSES.record, "inputs": {}, "figures": {}, "config": {}}
    )
    known = zip(["A_1", "B_2", "B_3"], ["f", "f", "g"], ["01", "02", ""], ["61", "", "40"])
    patients = [
        Patient(name, "gone", {}, mask=Path(), **{"group": group, "site": site, "covariates": {"age": age}, **changes})
        for name, group, site, age in known
    ]
    patient_files.write_patients(run_dir / "slices", patients, ("age",))
    return run_dir


@pytest.mark.parametrize("stage", ["extract_vectors", "extract_features"])
def test_what_is_known_of_patients(run_dir, stage):
    """A site is text, whatever it looks like; a pattern overrules what the run knows."""
    table = table_of_run(with_slices(run_dir), stage, "train", covariates=("age", "site"))
    rows = {"A_1": ("f", "01", "61.0"), "B_2": ("f", "02", "nan"), "B_3": ("g", "", "40.0")}
    columns = (table.groups, table.sites, table.covariates["age"].astype(str))
    for patient, *found in zip(table.patients, *columns):
        assert tuple(found) == rows[patient]
    assert table.covariates["site"].tolist() == table.sites.tolist()
    plain = table_of_run(run_dir, stage, "train", site_pattern="([A-Z])_")
    assert (set(plain.sites), plain.covariates) == ({"A", "B"}, {})


def test_what_is_not_known_of_patients(run_dir):
    with pytest.raises(
        InputError, match=r"--covariates=age,weight: weight is not among .*slices keeps .*\(age, site\)"
    ):
        table_of_run(with_slices(run_dir), "extract_vectors", "train", covariates=("age", "weight"))
    with_slices(run_dir, site="")
    assert table_of_run(run_dir, "extract_vectors", "train").sites is None
    with pytest.raises(InputError, match=r"site is not among .*\(age\)"):
        table_of_run(run_dir, "extract_vectors", "train", covariates=("site",))
