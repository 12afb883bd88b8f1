import numpy as np
import pandas as pd
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features.importing import made_by_poor_unet, read_table
from rembrandt_featgen.features.stored_tables import load_table, unet_dice, write_maps, write_table
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


@pytest.mark.parametrize("ending", [".parquet", ".npz"])
def test_how_well_the_unet_of_features_segments_goes_with_them(tmp_path, ending):
    path, splits = tmp_path / f"t{ending}", np.full(6, "test")
    maps = table_of_arrays(np.ones((6, 1, 1, 2)), [0, 1, 0, 2, 2, 1], classes=CLASSES, patients=list("abcdef"))
    for dice, words in ((0.004, "found nothing (mean dice of test volumes 0.00)"), (0.3, "segments poorly"), (0.5, "")):
        if ending == ".npz":
            write_maps(path, maps, splits, unet_dice=dice)
        else:
            write_table(path, table(), splits, unet_dice=dice)
        assert unet_dice(path) == dice
        assert words in made_by_poor_unet(path) if words else made_by_poor_unet(path) == ""
        names = read_table(path, classes=CLASSES.names).names
        assert len(names) == (2 if ending == ".npz" else 5)  # it is no feature


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.npz"])
def test_files_that_say_nothing_of_a_unet(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"a,b\n1,2\n")
    assert unet_dice(path) is None
    np.savez(tmp_path / "t.npz", unet_dice=[0.1, 0.2])
    assert unet_dice(tmp_path / "t.npz") is None
    np.savez(tmp_path / "t.npz", unet_dice="much")
    assert unet_dice(tmp_path / "t.npz") is None
    np.savez(tmp_path / "t.npz", unet_dice=np.nan)
    assert unet_dice(tmp_path / "t.npz") is None
