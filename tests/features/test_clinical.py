import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features.clinical import with_clinical
from rembrandt_featgen.features.tables import table_of_arrays

MANIFEST = "patient,site,block,age,sex,mask\nc,S,1,40,f,x\na,T,2,#N/A,m,y\nother,,,,,\nb,S,2,61.5,,z\n"


@pytest.fixture
def table():
    return table_of_arrays(np.eye(4), [0, 1, 1, 0], classes=Classes.of("ab"), patients=["a", "b", "b", "c"])


@pytest.fixture
def cohort(tmp_path):
    (tmp_path / "manifest.csv").write_text(MANIFEST)
    return tmp_path


@pytest.mark.parametrize("as_folder", [True, False])
def test_rows_are_matched_by_patient(table, cohort, as_folder):
    path = cohort if as_folder else cohort / "manifest.csv"
    found = with_clinical(table, path, covariates=("age", "sex"), group_column="block", site_column="site")
    np.testing.assert_array_equal(found.covariates["age"], [np.nan, 61.5, 61.5, 40])
    assert found.covariates["sex"].tolist() == ["m", "", "", "f"]
    assert (found.groups.tolist(), found.sites.tolist()) == (["2", "2", "2", "1"], ["T", "S", "S", "S"])
    np.testing.assert_array_equal(found.values, table.values)


def test_what_is_not_named_stays(table, cohort):
    found = with_clinical(table, cohort)
    assert (found.groups.tolist(), found.sites, found.covariates) == (table.groups.tolist(), None, {})


@pytest.mark.parametrize(
    ("text", "keywords", "message"),
    [
        (MANIFEST, {"covariates": ("weight",)}, "has no column 'weight'"),
        (MANIFEST, {"site_column": "ward"}, "has no column 'ward'"),
        (MANIFEST.replace("\nb,", "\nd,"), {}, "has no row for 1 patients: b; add rows"),
        (MANIFEST + "b,S,2,1,,z\n", {}, "has 1 patients in several rows"),
        (MANIFEST.replace("S,2", "S,"), {"group_column": "block"}, "patient b has no block; fill it in"),
        ("id,site\na,S\n", {}, "has no column 'patient'"),
    ],
)
def test_what_is_missing_is_one_line(table, tmp_path, text, keywords, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        with_clinical(table, tmp_path / "m.csv", **keywords)
    assert str(caught.value).startswith("--cohort=")
