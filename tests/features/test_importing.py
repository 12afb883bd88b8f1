import csv
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features.importing import import_table, read_synthetic, read_table

REAL = Path("/work/shared/data/feature_tables")
HEADER = "patient,label,age,x,y\n"


@pytest.fixture
def write(tmp_path):
    """Writes text as a CSV file."""

    def write(text, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_row_a_sample(write):
    table = read_table(write("patient,y,label,x\nq,1.5,1,-2\np,0,0,1e-3\np, 7 ,0,+4\n"))
    assert table.classes.names == ("0", "1")
    assert (table.names, table.signed) == (("y", "x"), True)
    np.testing.assert_array_equal(table.values, np.array([[1.5, -2], [0, 1e-3], [7, 4]], np.float32))
    assert table.patients.tolist() == table.groups.tolist() == ["q", "p", "p"]
    assert (table.labels.tolist(), table.samples.tolist()) == ([1, 0, 0], [0, 0, 1])
    assert (table.sites, dict(table.covariates)) == (None, {})


def test_group_site_sample_and_clinical_columns(write):
    text = "Patient,Label,Group,Site,sample,age,sex,x,y,split\n"
    text += "p,case,g,A,3,61,F,1,2,train\np,case,g,A,1,,F,2,1,train\nq,control,g,B,0,40,,0,5,test\n"
    table = read_table(write(text), covariates=("age", "sex", "site"))
    assert table.names == ("x", "y")
    assert (table.groups.tolist(), table.sites.tolist()) == (["g"] * 3, ["A", "A", "B"])
    assert (table.samples.tolist(), table.labels.tolist()) == ([3, 1, 0], [1, 1, 0])
    np.testing.assert_array_equal(table.covariates["age"], [61, np.nan, 40])
    assert table.covariates["sex"].tolist() == ["F", "F", ""]
    assert table.covariates["site"].tolist() == ["A", "A", "B"]


def test_a_site_is_text_whatever_it_looks_like(write):
    text = "patient,label,ward,x\np,case,1,1\nq,control,2,2\n"
    table = read_table(write(text), site_column="ward", covariates=("ward",))
    assert table.covariates["ward"].tolist() == table.sites.tolist() == ["1", "2"]


def test_columns_of_other_names(write):
    path = write("id,coc2,hospital,x,y\n1,0,A,1,2\n2,1,B,2,1\n")
    table = read_table(path, label_column="coc2", patient_column="id", group_column="hospital", site_column="hospital")
    assert (table.patients.tolist(), table.groups.tolist(), table.names) == (["1", "2"], ["A", "B"], ("x", "y"))
    other = write("id,coc2,x,label,split\n1,0,1,5,a\n2,1,2,7,b\n", "other.csv")
    read = import_table(other, columns={"label": "coc2", "patient": "id"})
    assert read.table.names == ("x",)  # another label would give the class away
    assert read.left_out == {"as their names say whose a row is": ("label", "split")}
    with pytest.raises(InputError, match=r"has no column 'ward'; add it, or name another with --group_column"):
        read_table(path, label_column="coc2", patient_column="id", group_column="ward")


def test_a_patient_under_two_names_is_said(write, caplog):
    text = "patient,label,group,x,y\na,0,g,1,2\nb,0,g,1,2\nc,1,h,1,3\nd,1,i,1,2\ne,0,j,4,2\n"
    with caplog.at_level(logging.INFO, logger="absl"):
        read_table(write(text))
    assert "1 sample has all values of a sample of another group, such as those of a and d" in caplog.text


MISSING = ("", "#DIV/0!", "#N/A", "NaN", "inf", "-Infinity", " NA ", "null", "1e999")


def test_missing_values_are_counted(write, caplog):
    rows = "".join(f"p{n},{n % 2},{n},{cell},1,2\n" for n, cell in enumerate([*MISSING, "5", "6"]))
    path = write("patient,label,x,y,same,empty\n".replace("empty", "z") + rows)
    with caplog.at_level(logging.INFO, logger="absl"):
        table = read_table(path)
    np.testing.assert_array_equal(np.isnan(table.values), [[False, True]] * len(MISSING) + [[False, False]] * 2)
    assert table.missing == len(MISSING)
    assert f"{len(MISSING)} values are missing (40.9%), in 1 column" in caplog.text
    assert "2 columns are left out, as they are constant: same, z" in caplog.text


def test_columns_that_tell_nothing_are_left_out_and_named(write):
    text = ",patient,label,a,empty,again,zero,b,b\n"
    text += "0,p,0,1,,1,0,-0.0,0\n1,q,1,,NA,nan,0,3,3\n2,r,1,2,,2,-0,1,1\n"
    read = import_table(write(text))
    assert read.table.names == ("a", "b")
    assert read.left_out == {
        "as they have no name": ("number 1",),
        "as all values are missing": ("empty",),
        "as they are constant": ("zero",),
        "as they are the same as another": ("again", "b"),
    }


def test_parquet_of_all_kinds_of_columns(tmp_path):
    frame = pd.DataFrame(
        {
            "patient": pd.Categorical(["a", "b", "c"]),
            "label": [0.0, 1.0, 1.0],
            "whole": np.array([1, 2, 3], np.int16),
            "wide": [1.5, np.inf, 2.5],
            "text": ["1", "#N/A", "2"],
            "flag": [True, False, True],
        },
        index=[7, 8, 9],
    )
    frame.to_parquet(tmp_path / "t.parquet")
    read = import_table(tmp_path / "t.parquet")
    assert read.table.names == ("whole", "wide", "text", "flag")
    np.testing.assert_array_equal(read.table.values, [[1, 1.5, 1, 1], [2, np.nan, np.nan, 0], [3, 2.5, 2, 1]])
    assert (read.table.patients.tolist(), read.table.labels.tolist()) == (["a", "b", "c"], [0, 1, 1])
    assert read.left_out == {"as they have no name": ("__index_level_0__",)}


@pytest.mark.parametrize("shape", [(3,), (2, 2, 3)])
def test_arrays(tmp_path, shape):
    values = np.random.default_rng(0).normal(size=(4, *shape))
    keys = {"patient": np.array(["a", "a", "b", "c"]), "label": np.array([b"g", b"g", b"m", b"p"])}
    more = {"group": np.array([1, 1, 1, 2]), "sample": np.array([5, 6, 0, 0]), "age": np.array([40, 40, 50, 60])}
    np.savez(tmp_path / "f.npz", features=values, **keys, **more, names=np.array(["r", "s", "t"]))
    read = import_table(tmp_path / "f.npz", classes=("g", "m", "p"), covariates=("age",))
    table = read.table
    np.testing.assert_array_equal(table.values, values.astype(np.float32))
    assert (table.patients.tolist(), table.groups.tolist()) == (["a", "a", "b", "c"], ["1", "1", "1", "2"])
    assert (table.labels.tolist(), table.samples.tolist(), table.names) == ([0, 0, 1, 2], [5, 6, 0, 0], ("r", "s", "t"))
    assert (table.covariates["age"].tolist(), read.left_out, table.signed) == ([40, 40, 50, 60], {}, True)


@pytest.mark.skipif(not REAL.exists(), reason=f"there is no {REAL}")
@pytest.mark.parametrize(
    ("name", "classes", "counts", "columns"),
    [
        ("tcga_gbm_lgg", ("LGG", "GBM"), [65, 102], 724),
        ("lipo", ("lipoma", "liposarcoma"), [57, 58], 493),
        ("hn", ("T12", "T34"), [58, 55], 159),
    ],
)
def test_real_tables(name, classes, counts, columns):
    """As the standard library reads them, cell by cell."""
    read = import_table(REAL / f"{name}.csv", classes=classes)
    assert np.bincount(read.table.labels).tolist() == counts
    left_out = sum(map(len, read.left_out.values()))
    assert len(read.table.names) + left_out == columns
    with (REAL / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert read.table.patients.tolist() == [row["patient"] for row in rows]
    empty = ("", "#DIV/0!", "NaN", "Inf")
    for number, column in enumerate(read.table.names):
        cells = [np.nan if row[column] in empty else float(row[column]) for row in rows]
        np.testing.assert_array_equal(read.table.values[:, number], np.array(cells, np.float32))
    assert read.missing == sum(row[column] in empty for row in rows for column in read.table.names)


GOOD = "p,0,50,1,2\nq,1,60,2,1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "p,0,50,1,2\nq,1,60,two,1\n", r"column 'x', row 3: 'two' is neither a number .* --covariates"),
        (HEADER + 'p,0,50,"1,5",2\nq,1,60,2,1\n', r"column 'x', row 2: '1,5' is neither .* decimal point"),
        (HEADER + GOOD + "p,1,50,3,3\n", "patient p has label 0 in one sample and 1 in another; correct"),
        ("patient,group,label,x,y\np,Lee,0,1,2\nq,lee,1,2,1\n", "groups 'Lee' and 'lee' look alike, or differ in case"),
        (
            "patient,site,label,x,y\np,Leeds,0,1,2\nq,LEEDS,1,2,1\n",
            "sites 'LEEDS' and 'Leeds' look alike, or",
        ),
        (HEADER + GOOD + ",1,50,3,3\n", "row 4 has no patient"),
        (HEADER + GOOD + "r,,50,3,3\n", "row 4 has no label"),
        (HEADER + GOOD + "r,2,50,3,3\n", "patients of class 0, 1, 2"),
        (
            "patient,label,x\n" + "".join(f"p{n},{n / 8},{n}\n" for n in range(60)),
            "the column 'label' has 60 different values, such as 0.0, 0.125, .*; name a column of classes",
        ),
        (HEADER + GOOD.replace(",1,60", ",0,60"), "no sample of class 1; classes need"),
        (HEADER + GOOD + "r,1,50,3\n", "not readable as CSV .*Expected 5 columns, got 4"),
        (HEADER + GOOD + "r,1,50,3,4,5\n", "not readable as CSV .*Expected 5 columns, got 6"),
        (HEADER + 'p,0,"5', "not readable as CSV"),
        (HEADER, "has no rows"),
        ("", "not readable as CSV .it is empty"),
        ("patient;label;x\np;0;1\n", "has no comma"),
        ("patient,label\np,0\nq,1\n", "has no column of features"),
        ("patient,label,x\np,0,1\nq,1,1\n", "no column of features has two different values"),
        ("label,x\n0,1\n1,2\n", "has no column 'patient'; add it, or name another with --patient_column"),
        ("patient,label,x,x\np,0,1,2\nq,1,2,1\n", "two columns of different values are named 'x'"),
        ("patient,patient,label,x\np,p,0,1\nq,q,1,2\n", "the column patient is there 2 times"),
        ("patient,label,x\np,0,1e300\nq,1,2\n", "column 'x': a value is beyond 3.4e38"),
        ("patient,label,sample,x\np,0,1,1\np,0,1,2\nq,1,0,4\n", "two rows of one number in the column sample"),
        ("patient,label,sample,x\np,0,1.5,1\nq,1,0,4\n", "row 2: sample is 1.5, not a whole number"),
        ("patient,label,group,x\np,0,g,1\np,0,h,4\nq,1,h,3\n", "patient p has group g in one sample and h in another"),
        ("patient,label,group,x\np,0,g,1\nq,1,,3\n", "row 3 has no group"),
        (b"patient,label,x\n\xff\xfe,0,1\nq,1,2\n", "not readable as CSV .*; save it as comma-separated UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not readable as CSV"),
        (b"PK\x03\x04,\x00\x00\n", "not readable as CSV|has no rows|has no column"),
    ],
)
def test_a_bad_csv_is_one_line(write, text, message):
    path = write(text)
    with pytest.raises(InputError, match=message) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"--features={path}")
    assert "\n" not in str(caught.value)


def test_covariates_that_are_not_there(write):
    with pytest.raises(InputError, match="has no column 'sex', which --covariates names"):
        read_table(write(HEADER + GOOD), covariates=("age", "sex"))


ARRAYS = {"features": np.eye(2), "patient": np.array(["p", "q"]), "label": np.array([0, 1])}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": np.array([[1, "x"]], object)}, "cannot be read .*not of numbers or text"),
        (
            {"features": np.ones((2, 2, 2))},
            r"an array features of numbers, \[n, d\] or .* received float64 \[2, 2, 2\]",
        ),
        ({"features": None}, "an array features of numbers.* received none"),
        ({"features": np.eye(2) * 1j}, "received complex128"),
        ({"features": np.full((2, 1, 1, 1), np.nan)}, "maps must be finite"),
        ({"patient": np.array(["p"])}, r"the array patient must be \[2\] as the features, received \[1\]"),
        ({"names": np.array(["a"])}, r"the array names must be \[2\]"),
        ({"sample": np.array(["a", "b"])}, "the array sample must be of whole numbers"),
        ({"label": None}, "has no column 'label'"),
    ],
)
def test_bad_arrays_are_one_line(tmp_path, changes, message):
    path = tmp_path / "f.npz"
    np.savez(path, **{name: array for name, array in {**ARRAYS, **changes}.items() if array is not None})
    with pytest.raises(InputError, match=message) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"--features={path}")


@pytest.mark.parametrize("name", ["t.npz", "t.parquet", "t.csv"])
def test_files_that_are_missing_or_cut_off_are_one_line(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(InputError, match="there is no such file"):
        read_table(path)
    if name == "t.csv":
        path.write_bytes(b'patient,label,x\np,0,"1')
    elif name == "t.npz":
        np.savez(path, **ARRAYS)
    else:
        pd.DataFrame({"patient": ["p", "q"], "label": [0, 1], "x": [0.5, 1.5]}).to_parquet(path)
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=name):
            read_table(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"t.xlsx is no .csv, .parquet or .npz file"):
        read_table(tmp_path / "t.xlsx")


def test_a_column_of_lists_is_refused(tmp_path):
    frame = pd.DataFrame({"patient": ["p", "q"], "label": [0, 1], "embedding": [[1.0, 2.0], [2.0, 3.0]]})
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="column 'embedding' holds list<.*>, not numbers"):
        read_table(tmp_path / "t.parquet")


def test_synthetic_samples_by_the_names_of_the_real_columns(write):
    table = read_table(write("patient,label,x,same,y\np,LGG,1,1,2\nq,HGG,2,1,1\n"))
    path = write("y,extra,label,x,same\n5,a,hgg,4,1\n7,b,LGG,NA,1\n", "s.csv")
    features, labels = read_synthetic(path, table)
    np.testing.assert_array_equal(features, np.array([[4, 5], [np.nan, 7]], np.float32))
    assert (labels.tolist(), features.dtype, labels.dtype) == ([1, 0], np.float32, np.int64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,x\nLGG,1\n", "lacks 1 of the 2 columns of the real features: y; add them"),
        ("x,y\n1,2\n", "has no column 'label'"),
        ("label,x,y\nLGG,1,2\nGBM,1,2\n", "row 3 has label 'GBM', which is none of LGG, HGG"),
        ("label,x,y\nLGG,1,a\n", "column 'y', row 2: 'a' is neither"),
    ],
)
def test_bad_synthetic_samples_are_one_line(write, text, message):
    table = read_table(write("patient,label,x,y\np,LGG,1,2\nq,HGG,2,1\n"))
    with pytest.raises(InputError, match=message) as caught:
        read_synthetic(write(text, "s.csv"), table)
    assert str(caught.value).startswith("--synthetic=")


def test_synthetic_maps(tmp_path):
    maps = np.random.default_rng(0).random((2, 2, 2, 3), np.float32)
    np.savez(tmp_path / "real.npz", **{**ARRAYS, "features": maps}, names=np.array(["a", "b", "c"]))
    table = read_table(tmp_path / "real.npz")
    np.savez(tmp_path / "s.npz", features=maps, label=np.array([1, 0]), names=np.array(["c", "a", "b"]))
    features, labels = read_synthetic(tmp_path / "s.npz", table)
    np.testing.assert_array_equal(features, maps[..., [1, 2, 0]])
    assert labels.tolist() == [1, 0]
    np.savez(tmp_path / "s.npz", features=maps[:, :1], label=np.array([1, 0]))
    with pytest.raises(InputError, match=r"samples have shape \[1, 2, 3\], the real features \[2, 2, 3\]"):
        read_synthetic(tmp_path / "s.npz", table)


def test_visits_of_a_patient_are_one_group(write, caplog):
    """Where no column says it: by the names of public data sets, or by a pattern; and the log says so."""
    rows = "BraTS-GLI-00001-000,LGG,1\nBraTS-GLI-00001-001,LGG,2\nBraTS-GLI-00002-000,HGG,3\n"
    table = read_table(write("patient,label,x\n" + rows))
    assert table.groups.tolist() == ["BraTS-GLI-00001", "BraTS-GLI-00001", "BraTS-GLI-00002"]
    table = read_table(write("patient,label,x\n" + rows), group_pattern="(.*)")
    assert table.groups.tolist() == table.patients.tolist()
    column = "".join(f"{line},{group}\n" for line, group in zip(rows.splitlines(), "abb"))
    assert read_table(write("patient,label,x,group\n" + column)).groups.tolist() == ["a", "b", "b"]


def test_patients_whose_names_differ_in_spelling_alone(write):
    with pytest.raises(InputError, match=r"patients 'P 1' and 'p1' look alike, or differ in case, blanks") as caught:
        read_table(write("patient,label,x\nP 1,LGG,1\np1,HGG,2\n"))
    assert len(str(caught.value).splitlines()) == 1
