"""The table of an estimate."""

import numpy as np

from rembrandt_featgen.estimates import estimate_table, extrapolation


def test_the_table_shows_totals_and_units():
    rows = [
        extrapolation.Row("a", "3 patients", np.array([30.0, 60.0]), memory=2**30, disk=3 * 2**20),
        extrapolation.Row("b", "4 slices", np.array([7200.0, 89.0]), memory=2**20, disk=2**31, times=5),
    ]
    text = "\n".join(" ".join(line.split()) for line in estimate_table.table(rows))
    assert text == (
        "stage samples time CPU time memory disk\na 3 patients 30 s 60 s 1.0 GiB 3.0 MiB\n"
        "b 4 slices, 5 times 2.0 h 89 s 1.0 MiB 2.0 GiB\nall 2.0 h 2.5 min 1.0 GiB 2.0 GiB"
    )
