import numpy as np
from sklearn.mixture import GaussianMixture

from rembrandt_featgen.generation import unlabelled
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.sampling_method import real_samples


def cohort(labelled=(20, 4), others=(200, 40), shift=2.5, seed=0):
    random = np.random.default_rng(seed)
    classes = np.repeat([0, 1, 0, 1], [*labelled, *others])
    values = random.normal(size=(len(classes), 4))
    values[:, 0] += shift * classes
    n = sum(labelled)
    real = real_samples(values[:n], classes[:n], None, num_classes=3, signed=True, seed=1)
    return real, values[n:], classes[n:]


def test_a_mean_is_learnt_from_patients_whose_class_nobody_said():
    errors = {"labelled": [], "all": []}
    for seed in range(10):
        real, values, _ = cohort(seed=seed)
        joined = unlabelled.with_unlabelled(real, values)
        np.testing.assert_array_equal(joined.labels[:24], real.labels)
        assert len(joined.labels) == 264 and len(set(joined.groups)) == 264
        for name, one in (("labelled", real), ("all", joined)):
            (fitted,) = METHODS["gaussian"].fit_many([one])
            errors[name].append(fitted.draw(1, 2000, 0).mean(0) - [2.5, 0, 0, 0])
    assert np.square(errors["all"]).mean() < 0.4 * np.square(errors["labelled"]).mean()


def test_probabilities_are_those_of_scikit_learns_mixture_where_labels_say_little():
    real, values, classes = cohort(others=(2000, 1000), shift=4)
    found = unlabelled.probabilities(real, values)
    np.testing.assert_allclose(found.sum(1), 1)
    assert (found[:, 2] == 0).all()  # no labelled sample is of it
    other = GaussianMixture(2, covariance_type="tied", random_state=0).fit(values)
    of_other = other.predict_proba(values)[:, np.argsort(other.means_[:, 0])]
    assert np.abs(found[:, :2] - of_other).mean() < 0.005
    assert np.mean(found.argmax(1) == classes) > 0.95


def test_without_any_nothing_changes():
    real, values, _ = cohort()
    assert unlabelled.with_unlabelled(real, values[:0]) is real
