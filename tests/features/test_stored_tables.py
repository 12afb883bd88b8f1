import numpy as np
import pandas as pd
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features.importing import read_table
from rembrandt_featgen.features.stored_tables import load_table, write_table
from rembrandt_featgen.features.tables import table_of_arrays

COLUMNS = ("values", "labels", "patients", "groups", "samples")
CLASSES = Classes.of(("a", "b", "c"))


def table(**changes):
    random = np.random.default_rng(0)
    values = random.normal(size=(6, 5)).astype(np.float32) * 10.0 ** random.integers(-30, 30, (6, 5))
    values[2, 3] = np.nan
    patients = ["p 1", "p,2", "p 1", "p3", "p4", "007"]
    given = {"patients": patients, "groups": ["g", "g", "g", "h", "i", "01"], "sites": list("xyxxyy"), **changes}
    return table_of_arrays(values, [0, 1, 0, 2, 2, 1], classes=CLASSES, **given)


@pytest.mark.parametrize("sites", [list("xyxxyy"), None])
def test_what_is_written_is_read_back_to_the_same_values(tmp_path, sites):
    written, path = table(sites=sites), tmp_path / "t.parquet"
    write_table(path, written, np.array(["train"] * 3 + ["test"] * 3))
    for read in (read_table(path, classes=CLASSES.names), load_table(path, CLASSES)):
        for name in COLUMNS:
            np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
        assert (read.names, read.classes, read.values.dtype) == (written.names, CLASSES, np.float32)
        assert read.sites is None if sites is None else read.sites.tolist() == sites
    assert pd.read_parquet(path)["split"].tolist() == ["train"] * 3 + ["test"] * 3


def test_covariates_stand_beside(tmp_path):
    covariates = {"age": np.array([1, 2, 1, np.nan, 4, 5.0]), "sex": np.array(list("fmff m"))}
    write_table(tmp_path / "t.parquet", table(covariates=covariates), np.full(6, "all"))
    read = read_table(tmp_path / "t.parquet", classes=CLASSES.names, covariates=("age", "sex"))
    np.testing.assert_array_equal(read.covariates["age"], covariates["age"])
    assert read.covariates["sex"].tolist() == ["f", "m", "f", "f", "", "m"]
    assert load_table(tmp_path / "t.parquet", CLASSES).names == read.names


def test_maps_and_names_of_keys_are_refused(tmp_path):
    maps = table_of_arrays(np.ones((2, 1, 1, 2)), [0, 1], classes=CLASSES)
    with pytest.raises(ValueError, match="a table of vectors is needed"):
        write_table(tmp_path / "t.parquet", maps, np.full(2, "all"))
    with pytest.raises(ValueError, match="none named site"):
        write_table(tmp_path / "t.parquet", table(names=["a", "b", "site", "d", "e"]), np.full(6, "all"))


def test_damage_is_one_line(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(InputError, match="is missing or damaged; delete"):
        load_table(path, CLASSES)
    write_table(path, table(), np.full(6, "all"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="is missing or damaged; delete"):
        load_table(path, CLASSES)
