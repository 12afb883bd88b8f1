import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from rembrandt_featgen.measures import calibration, classification, decisions


@pytest.mark.parametrize(("bins", "scale"), [(10, 1.0), (7, 1.0), (10, 0.5)])  # the last leaves bins empty
def test_reliability_agrees_with_scikit_learn(bins, scale):
    generator = np.random.default_rng(2)
    labels, probabilities = generator.integers(0, 2, 300), scale * generator.random(300)
    found = calibration.reliability(labels, decisions.two_columns(probabilities), bins)
    observed, mean = calibration_curve(labels, probabilities, n_bins=bins)
    full = found.samples > 0
    np.testing.assert_allclose(found.observed[full], observed)
    np.testing.assert_allclose(found.probability[full], mean)
    assert np.isnan(found.observed[~full]).all()
    assert len(found.samples) == bins
    assert found.samples.sum() == 300


def test_expected_calibration_error_is_the_diagrams_mean_gap():
    generator = np.random.default_rng(3)
    labels, probabilities = generator.integers(0, 2, 50), generator.random(50).round(1)  # on the edges of bins
    mean, observed, samples = calibration.reliability(labels, decisions.two_columns(probabilities))
    wanted = np.nansum(np.abs(mean - observed) * samples) / 50
    assert classification.measures(labels, decisions.two_columns(probabilities))["ece"] == pytest.approx(wanted)


def test_of_more_classes_it_is_that_of_the_most_probable_one():
    p = np.array([[0.7, 0.2, 0.1], [0.3, 0.65, 0.05], [0.1, 0.05, 0.85]])
    found = calibration.reliability(np.array([0, 2, 2]), p)
    assert found.samples.tolist() == [0, 0, 0, 0, 0, 0, 2, 0, 1, 0]
    np.testing.assert_allclose(found.probability[[6, 8]], [0.675, 0.85])
    np.testing.assert_allclose(found.observed[[6, 8]], [0.5, 1.0])
