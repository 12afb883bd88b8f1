import math

import numpy as np
import pytest

from rembrandt_featgen.evaluation.generator_rows import generator_rows, warnings_of
from rembrandt_featgen.evaluation.predictions import join
from tests.evaluation.simulated import predictions

AUDIT = {"p_value": 0.5, "median_ratio": 1.0, "share_nearer_1": 0.25, "memorised": False, "copied_patients": {}}


@pytest.mark.parametrize("missing", [None, math.nan])
def test_what_was_not_measured_in_a_fold_is_left_out_fresh_or_resumed(missing):
    measured = {"coverage": 0.5, "acceptance": {"LGG": 0.5}, "memorisation": AUDIT}
    other = {
        "coverage": missing,
        "acceptance": {"LGG": missing},
        "memorisation": {**AUDIT, "p_value": missing, "median_ratio": missing, "share_nearer_1": missing},
    }
    (row,) = generator_rows([{"maps/acgan": measured}, {"maps/acgan": other}])
    assert (row["coverage"], row["coverage_sd"], row["acceptance"]) == (0.5, 0.0, {"LGG": 0.5})
    audit = row["memorisation"]
    assert (audit["p_value"], audit["nearest_ratio_median"], audit["share_below_1_percent"]) == (0.5, 1.0, 0.25)
    (row,) = generator_rows([{"maps/acgan": other}])
    assert np.isnan([row["coverage"], row["acceptance"]["LGG"], row["memorisation"]["p_value"]]).all()


def test_a_generator_that_lacks_a_class_is_said_also_if_it_does_in_every_fold():
    table = join([predictions(arm, [0.5], [1], kind=kind) for arm, kind in (("none", "none"), ("acgan", "generative"))])
    rows = [{"arm": "gaussian", "features": "vectors", "folds": 1}]
    assert warnings_of(rows, table, 3) == [
        "gaussian has vectors of one class only, or none, in 2 of 3 folds: its measures are over the others.",
        "acgan has maps of one class only, or none, in 3 of 3 folds: nothing is measured of them.",
    ]
    assert warnings_of([{"arm": "acgan", "features": "maps", "folds": 3}], table, 3) == []
