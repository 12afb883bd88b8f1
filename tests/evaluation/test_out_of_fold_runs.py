import numpy as np
import pytest

from rembrandt_featgen.evaluation import out_of_fold_runs, predictions
from rembrandt_featgen.measures.decisions import two_columns
from tests.evaluation import simulated


def test_a_slice_tested_twice_is_refused():
    table = simulated.predictions("a", [0.2, 0.8], [0, 1])
    with pytest.raises(RuntimeError, match="slice 0 of patient P1 was tested in two folds"):
        out_of_fold_runs.gather(table.take(np.array([0, 1, 1])))


def test_by_patient_takes_the_mean_of_log_odds_and_the_folds_threshold():
    samples = predictions.Samples(np.array(["A"] * 3), np.arange(3), np.ones(3, int))
    scores = np.array([0.8, 0.2, 0.5])
    table = predictions.rows(
        samples,
        two_columns(scores),
        classes=simulated.CLASSES,
        arm="a",
        kind="none",
        classifier="cnn",
        thresholds=two_columns(0.3),
    )
    table = predictions.join([table, simulated.predictions("a", [0.9], [0], threshold=0.6)])
    run = out_of_fold_runs.by_patient(out_of_fold_runs.gather(table))
    np.testing.assert_array_equal(run.patients, ["A", "P0"])
    np.testing.assert_allclose(run.probabilities[:, 1], [0.5, 0.9])  # log-odds of 0.8 and 0.2 cancel
    np.testing.assert_array_equal(run.thresholds[:, 1], [0.3, 0.6])
    np.testing.assert_array_equal(run.labels, [1, 0])
