from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features.table_files import MISSING, listed, read_arrays, read_columns, shown


@pytest.mark.parametrize(
    ("column", "texts", "numbers"),
    [
        (pa.array([1.0, None, 2.5, float("nan")]), ["1", "", "2.5", ""], [1, np.nan, 2.5, np.nan]),
        (pa.array([1, None, 300], pa.int16()), ["1", "", "300"], [1, np.nan, 300]),
        (pa.array([True, False, None]), ["1", "0", ""], [1, 0, np.nan]),
        (pa.array([" 1e3", None, "#DIV/0!"]), ["1e3", "", "#DIV/0!"], [1000, np.nan, np.nan]),
        (pa.array(["7", "8"], pa.large_string()), ["7", "8"], [7, 8]),
        (pa.array(["7", "8", "7"]).dictionary_encode(), ["7", "8", "7"], [7, 8, 7]),
        (pa.array([Decimal("1.25"), None]), ["1.25", ""], [1.25, np.nan]),
        (pa.nulls(2), ["", ""], [np.nan, np.nan]),
        (
            pa.array([1.5, 2.5], pa.float16()) if hasattr(pa, "float16") else pa.array([1.5, 2.5]),
            ["1.5", "2.5"],
            [1.5, 2.5],
        ),
    ],
)
def test_columns_of_parquet(tmp_path, column, texts, numbers):
    pq.write_table(pa.table({"x": column}), tmp_path / "t.parquet")
    columns = read_columns(tmp_path / "t.parquet", "--features")
    assert columns.texts(0).tolist() == texts
    np.testing.assert_array_equal(columns.numbers(0), numbers)
    assert (columns.rows, columns.first_row, columns.is_text(0)) == (len(texts), 1, False)


def test_columns_of_csv_are_found_in_any_case(tmp_path):
    path = tmp_path / "t.CSV"
    path.write_bytes('\ufeffPatient, X ,x,"a,\nb"\r\n"p ""1""",1,2,t\r\n'.encode())
    columns = read_columns(path, "--features")
    assert columns.names == ["Patient", "X", "x", "a,\nb"]
    assert [columns.position(name) for name in ("patient", "X", "x", "A,\nB", "y")] == [0, 1, 2, 3, None]
    assert (columns.texts(0).tolist(), columns.first_row, columns.is_text(3)) == (['p "1"'], 2, True)


def test_every_sign_of_a_missing_value(tmp_path):
    cells = [*MISSING, *(one.upper() for one in MISSING)]
    (tmp_path / "t.csv").write_text("patient,x\n" + "".join(f"p,{cell}\n" for cell in cells))
    assert np.isnan(read_columns(tmp_path / "t.csv", "").numbers(1)).all()


def test_dates_are_no_numbers(tmp_path):
    pq.write_table(pa.table({"x": pa.array([0], pa.timestamp("s"))}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"column 'x' holds timestamp\[.*\], not numbers"):
        read_columns(tmp_path / "t.parquet", "--features").numbers(0)


def test_messages_stay_short():
    assert shown("x" * 99) == repr("x" * 60 + "...")
    assert (listed(list("abcde")), listed(list("abcdef"))) == ("a, b, c, d, e", "a, b, c, d, e, ...")


def test_a_single_array_is_no_npz(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(InputError, match="a.npz cannot be read .it is a single array"):
        read_arrays(tmp_path / "a.npz", "--features")
