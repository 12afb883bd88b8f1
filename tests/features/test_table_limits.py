"""Tables that others wrote: what they may ask for."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rembrandt_featgen.core import file_sizes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features import importing, table_files

_EACH_BYTE = """
import pathlib, sys
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features import table_files
path = pathlib.Path(sys.argv[1])
whole = path.read_bytes()
for at in range(4, len(whole)):
    for bit in (1, 4):
        damaged = bytearray(whole)
        damaged[at] ^= bit
        path.write_bytes(damaged)
        try:
            columns = table_files.read_columns(path, "--features")
            for position in range(len(columns.names)):
                columns.texts(position)
        except InputError:
            pass
print("all read or refused")
"""


def test_no_damaged_byte_of_a_parquet_file_ends_the_process(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"patient": list("aabb"), "label": ["LGG"] * 2 + ["HGG"] * 2, "x": np.arange(4.0)}), path)
    ended = subprocess.run([sys.executable, "-c", _EACH_BYTE, path], capture_output=True, text=True)
    assert ended.stdout == "all read or refused\n", ended.stderr[-2000:]


def test_rows_that_take_no_room_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    rows = 200_000  # in some hundred bytes
    pq.write_table(pa.table({"patient": ["a"] * rows, "label": ["LGG"] * rows, "x": np.zeros(rows)}), path)
    assert path.stat().st_size < 5000
    assert table_files.read_columns(path, "--features").rows == rows
    monkeypatch.setattr(file_sizes, "TABLE_BYTES", 10**6)
    with pytest.raises(InputError, match="would unpack from"):
        table_files.read_columns(path, "--features")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_long_cell_does_not_widen_a_whole_column(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(file_sizes, "TABLE_BYTES", 10**6)
    names = ["a" * 5000, *(f"p{number}" for number in range(999))]
    labels, path = ["LGG", "HGG"] * 500, tmp_path / f"x.{kind}"
    if kind == "csv":
        rows = (f"{name},{label},{number}" for number, (name, label) in enumerate(zip(names, labels)))
        path.write_text("\n".join(["patient,label,x", *rows]))
    else:
        pq.write_table(pa.table({"patient": names, "label": labels, "x": np.arange(1000.0)}), path)
    with pytest.raises(InputError, match="'patient' has a cell of 5000 characters; shorten it"):
        importing.import_table(path)


def test_many_columns_are_read_by_rows_and_as_few_are(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    path.write_text("patient,label,x,y\na,LGG,1,\nb,HGG,2.5,3\n\nc,HGG,3,4\n")
    few = importing.import_table(path).table
    monkeypatch.setattr(table_files, "_WIDE", 3)
    many = importing.import_table(path).table
    assert many.names == few.names and np.array_equal(many.values, few.values, equal_nan=True)
    assert many.patients.tolist() == few.patients.tolist()
    path.write_text("patient,label,x,y\na,LGG,1\n")
    with pytest.raises(InputError, match="row 2 has 3 cells, and the header 4"):
        importing.import_table(path)
    monkeypatch.setattr(table_files, "_MOST_COLUMNS", 3)
    with pytest.raises(InputError, match="4 columns, and 3 are read; write the features as an array"):
        importing.import_table(path)
