"""Both kinds of files say the same."""

import numpy as np
import pandas as pd
import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features.table_sources import open_source


@pytest.fixture(params=["csv", "parquet", "npz"])
def source(request, tmp_path):
    path = tmp_path / f"t.{request.param}"
    frame = pd.DataFrame({"patient": ["p", "q"], "sample": [4, 0], "x": [1.5, np.nan], "y": [2.0, 3.0]})
    if request.param == "npz":
        keys = {name: frame[name].to_numpy() for name in ("patient", "sample")}
        keys["patient"] = keys["patient"].astype(str)
        np.savez(path, features=frame[["x", "y"]].to_numpy(), names=np.array(["x", "y"]), **keys)
    elif request.param == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return open_source(path, "--features")


def test_keys_and_features(source):
    assert source.texts("patient").tolist() == ["p", "q"]
    assert source.texts("group") is source.numbers("group") is source.whole_numbers("group") is None
    assert source.whole_numbers("sample").tolist() == [4, 0]
    assert source.numbers("sample").tolist() == [4, 0]
    assert source.numbers("patient") is None
    values, names = source.features({"patient", "sample"})
    assert (list(names), source.left_out) == (["x", "y"], {})
    np.testing.assert_array_equal(values, [[1.5, 2], [np.nan, 3]])


def test_columns_by_name(source):
    np.testing.assert_array_equal(source.named(["y", "x"]), [[2, 1.5], [3, np.nan]])
    with pytest.raises(InputError, match=r"--features=.* lacks 1 of the 2 .* of the real features: z; add them"):
        source.named(["y", "z"])
