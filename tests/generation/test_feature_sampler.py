import inspect

import imblearn.utils.estimator_checks
import numpy as np
import pytest
import sklearn
import sklearn.utils.estimator_checks
from imblearn.pipeline import Pipeline
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.preprocessing import StandardScaler

from rembrandt_featgen.generation import training_set
from rembrandt_featgen.generation.feature_sampler import FeatureSampler
from rembrandt_featgen.generation.gaussian import Gaussian
from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.smote import Smote
from tests.generation import conformance

pandas = pytest.importorskip("pandas")
SAMPLERS = [
    FeatureSampler(name if method is METHODS[name] else method, random_state=0)
    for name, method in conformance.QUICK.items()
]
# With the reason, as in the room's README.
NOT_APPLICABLE = {"check_samplers_pandas_sparse": "sparse data are refused: steps, means and noise fill the zeros"}


def checks_of(module):
    """The checks of a library for each sampler; its versions before those of 2025 know no expected failures."""
    mark = module.parametrize_with_checks
    if "expected_failed_checks" in inspect.signature(mark).parameters:
        return mark(SAMPLERS, expected_failed_checks=lambda sampler: NOT_APPLICABLE)
    return mark(SAMPLERS)


@checks_of(imblearn.utils.estimator_checks)
def test_imbalanced_learns_checks(estimator, check):
    check(estimator)


@checks_of(sklearn.utils.estimator_checks)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_names_and_ranges_of_settings_are_checked():
    imblearn.utils.estimator_checks.check_param_validation("FeatureSampler", FeatureSampler())


def data(sizes=(12, 7, 5), size=4):
    """Three classes; two samples of each patient, by whom the rows of the DataFrame are named, too."""
    labels = np.repeat(["a", "b", "c"], sizes)
    patients = np.array([f"p{i // 2}" for i in range(len(labels))])
    features = np.random.default_rng(0).normal(size=(len(labels), size)) + np.repeat([0, 5, -5], sizes)[:, None]
    return features, labels, patients


@pytest.mark.parametrize(
    ("settings", "counts"),
    [
        ({}, [12, 12, 12]),
        ({"amount": 0.5}, [16, 16, 16]),  # 4 of 24 more for each class
        ({"sampling_strategy": {"c": 9}}, [12, 7, 9]),
        ({"sampling_strategy": "minority", "amount": 0.25}, [14, 9, 14]),
    ],
)
def test_counts_of_classes(settings, counts):
    features, labels, _ = data()
    more, more_labels = FeatureSampler(**settings).fit_resample(features, labels)
    assert np.unique(more_labels, return_counts=True)[1].tolist() == counts
    np.testing.assert_array_equal(more[:24], features)
    assert more_labels[:24].tolist() == labels.tolist()
    assert more.dtype == np.float64
    nearest = np.argmin(np.abs(more.mean(axis=1)[:, None] - [0, 5, -5]), axis=1)
    assert np.array(["a", "b", "c"])[nearest].tolist() == more_labels.tolist()


@pytest.mark.parametrize("amount", [0.0, 0.3, 2.0])
def test_amounts_are_those_of_arms(amount):
    features, labels, _ = data()
    numbers = np.unique(labels, return_inverse=True)[1]
    wanted = training_set.counts(numbers, amount, num_classes=3)
    _, more = FeatureSampler(amount=amount).fit_resample(features, numbers)
    assert (np.bincount(more) - np.bincount(numbers)).tolist() == list(wanted.values())


@pytest.mark.parametrize("name", METHODS)
def test_the_random_state_decides(name):
    features, labels, _ = data()
    first, again, other, object_of_1 = (
        FeatureSampler(conformance.QUICK[name], amount=1, random_state=state).fit_resample(features, labels)[0]
        for state in (1, 1, 2, np.random.RandomState(1))
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01
    np.testing.assert_array_equal(first, object_of_1)


def test_double_precision_is_kept():
    features, labels, _ = data()
    more, _ = FeatureSampler("random_oversampling").fit_resample(features + 1e9, labels)
    assert set(more.ravel()) == set((features + 1e9).ravel())


def test_features_after_a_relu_stay_from_0_on():
    features, labels, _ = data()
    with pytest.raises(ValueError, match="say that they are signed"):
        FeatureSampler("gaussian", signed=False).fit_resample(features, labels)
    more, _ = FeatureSampler("gaussian", signed=False, amount=3).fit_resample(np.maximum(features, 0), labels)
    assert more.min() == 0


def test_a_method_with_other_settings_is_a_method():
    features, labels, _ = data()
    more, _ = FeatureSampler(Smote(neighbours=1), random_state=0).fit_resample(features, labels)
    plain, _ = FeatureSampler("smote", random_state=0).fit_resample(features, labels)
    assert np.abs(more - plain).max() > 0
    sampler = sklearn.base.clone(FeatureSampler(Gaussian(samples_per_patient=2), amount=1))
    assert sampler.get_params()["method"] == Gaussian(samples_per_patient=2)


@pytest.fixture
def seen(monkeypatch):
    """Patients that reach the method, fit by fit."""
    calls = []
    fit = Gaussian.fit

    def spy(self, features, labels, groups, **settings):
        calls.append((np.asarray(features), groups))
        return fit(self, features, labels, groups, **settings)

    monkeypatch.setattr(Gaussian, "fit", spy)
    return calls


def pipeline(groups, **settings):
    return Pipeline(
        [
            ("scaler", StandardScaler().set_output(transform="pandas")),
            ("sampler", FeatureSampler("gaussian", groups=groups, random_state=0, **settings)),
            ("classifier", LogisticRegression()),
        ]
    )


@pytest.mark.parametrize("kind", ["series", "shuffled series", "function"])
def test_patients_inside_cross_validation_are_those_of_the_rows(seen, kind):
    """Three ways to hand them over; here a column betrays whose the row is."""
    features, labels, patients = data()
    numbers = np.unique(patients, return_inverse=True)[1]
    index = [f"row {i}" for i in range(24)]
    frame = pandas.DataFrame(np.c_[features, numbers], index, columns=list("vwxyz"))
    groups = pandas.Series(patients, index)
    groups = groups.sample(frac=1, random_state=0) if kind == "shuffled series" else groups
    groups = (lambda X: X.index.map(dict(zip(index, patients)))) if kind == "function" else groups
    scores = cross_validate(
        pipeline(groups, amount=0.5), frame, labels, groups=patients, cv=GroupKFold(3), error_score="raise"
    )
    assert (scores["test_score"] > 0.8).all()
    assert len(seen) == 3
    for values, given in seen:
        assert len(values) == len(given) < 24
        # scaled, but the order of patients is still that of the column
        expected = numbers[[patients.tolist().index(one) for one in given]]
        assert np.abs(np.corrcoef(values[:, -1], expected)[0, 1] - 1) < 1e-9


@pytest.mark.skipif(not hasattr(FeatureSampler, "set_fit_resample_request"), reason="imbalanced-learn before 0.13")
def test_patients_come_by_metadata_routing(seen):
    features, labels, patients = data()
    with sklearn.config_context(enable_metadata_routing=True):
        steps = pipeline(None)
        steps.named_steps["sampler"].set_fit_resample_request(groups=True)
        cross_validate(steps, features, labels, params={"groups": patients}, cv=GroupKFold(3), error_score="raise")
    assert [set(given) < set(patients) for _, given in seen] == [True] * 3


def test_patients_of_all_rows_are_refused_inside_cross_validation():
    features, labels, patients = data()
    with pytest.raises(ValueError, match=r"\(24,\) do not belong to X of 1\d rows; inside cross-validation hand over"):
        cross_validate(pipeline(patients), features, labels, groups=patients, cv=GroupKFold(3), error_score="raise")
    more, _ = FeatureSampler("gaussian", groups=patients).fit_resample(features, labels)
    assert len(more) == 36


def test_rows_that_nobody_knows_are_refused():
    features, labels, patients = data()
    frame = pandas.DataFrame(features, columns=list("wxyz"))
    with pytest.raises(ValueError, match=r"4 of 24 rows are not among them, such as \[20, 21, 22\]"):
        FeatureSampler("gaussian", groups=pandas.Series(patients[:20])).fit_resample(frame, labels)


def test_the_method_can_be_chosen_by_cross_validation():
    features, labels, _ = data()
    search = GridSearchCV(
        pipeline(None), {"sampler__method": ["smote", "gaussian"], "sampler__amount": [0.0, 1.0]}, error_score="raise"
    )
    assert search.fit(features, labels).best_score_ > 0.9
