"""Every method of `methods.METHODS` as a sampler of imbalanced-learn."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from rembrandt_featgen.generation.methods import METHODS
from rembrandt_featgen.generation.sampling_method import Method


class FeatureSampler(BaseOverSampler):
    """Adds samples to a table of features; fits into `imblearn.pipeline.Pipeline`, after what scales.

    Inside cross-validation only a part of the rows comes, so that an array of all patients does not fit. There,
    `groups` is a function of the X that comes, or a pandas Series that is looked up by the index of the DataFrame X
    (let the steps before hand on a DataFrame: `StandardScaler().set_output(transform="pandas")`), or comes by
    scikit-learn's metadata routing (`set_fit_resample_request(groups=True)`).

    Args:
      method: a key of `METHODS`, or a method with other settings, such as `Smote(neighbours=3)`.
      sampling_strategy: as imbalanced-learn's over-samplers have it; "auto" brings each class up to the largest.
      amount: adds amount * n / classes more to each class, rounded half up, as `training_set.counts` does.
      groups: the patient of each row: [n] array-like, a Series, or a function from X to [n]; None where each row is of
        another. Generative methods look at them.
      signed: whether values below 0 are possible; False for features after a ReLU.
      random_state: an int for draws that can be repeated, a `RandomState`, or None.

    Attributes:
      groups_: [n] patients of the rows that were last resampled; None where they were not given.
      sampling_strategy_, n_features_in_, feature_names_in_: as of all samplers of imbalanced-learn.
    """

    _parameter_constraints: dict = {
        **BaseOverSampler._parameter_constraints,
        "method": [StrOptions(set(METHODS)), Method],
        "amount": [Interval(numbers.Real, 0, None, closed="left")],
        "groups": ["array-like", callable, None],
        "signed": ["boolean"],
    }

    def __init__(
        self,
        method: str | Method = "smote",
        *,
        sampling_strategy: str | float | Mapping | Callable = "auto",
        amount: float = 0.0,
        groups=None,
        signed: bool = True,
        random_state=None,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
        self.method = method
        self.amount = amount
        self.groups = groups
        self.signed = signed
        self.random_state = random_state

    def fit_resample(self, X, y, groups=None):  # noqa: N803
        """Returns the rows that came, followed by those that the method adds.

        Args:
          X: [n, d] array, list or DataFrame of finite numbers.
          y: [n] labels of any kind, or their one-versus-all coding.
          groups: [n], instead of those of the constructor.

        Returns:
          (X, y) of the same kinds; floats where X was of integers.

        Raises:
          ValueError: the groups do not fit X, or X is not of finite numbers.
        """
        self._validate_params()
        self.groups_ = _groups_of(X, self.groups if groups is None else groups)
        return super().fit_resample(X, y)

    def _check_X_y(self, X, y):  # noqa: N802, N803
        return super()._check_X_y(X, y, accept_sparse=False)

    def _fit_resample(self, X, y):  # noqa: N803
        classes, labels = np.unique(y, return_inverse=True)
        more = int(self.amount * len(labels) / len(classes) + 0.5)
        wanted = {label: self.sampling_strategy_.get(name, 0) + more for label, name in enumerate(classes)}
        random = check_random_state(self.random_state)
        fit_seed, draw_seed = (int(seed) for seed in random.randint(np.iinfo(np.int32).max, size=2))
        method = METHODS[self.method] if isinstance(self.method, str) else self.method
        fitted = method.fit(X, labels, self.groups_, num_classes=len(classes), signed=self.signed, seed=fit_seed)
        extra = fitted.draw_all(wanted, draw_seed)
        return np.concatenate([X, extra.features]), np.concatenate([y, classes[extra.labels]])

    def _more_tags(self):  # for imbalanced-learn before 0.13
        refused = {"check_samplers_pandas_sparse": "sparse data are refused"}
        return {"X_types": ["2darray", "dataframe"], "_xfail_checks": refused}

    def __sklearn_tags__(self):
        """Tags: of dense numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags


def _groups_of(features, groups) -> np.ndarray | None:
    """[n] patients of the rows that came.

    Args:
      features: [n, d] as they came.
      groups: see `FeatureSampler`.

    Raises:
      ValueError: a DataFrame holds rows that a Series does not know, or their number is another.
    """
    if groups is None:
        return None
    if callable(groups):
        groups = groups(features)
    elif hasattr(groups, "loc") and hasattr(features, "index") and not callable(features.index):
        unknown = ~features.index.isin(groups.index)
        if unknown.any() or groups.index.has_duplicates:
            raise ValueError(
                f"groups must name the patient of each row of X once by its index; {int(unknown.sum())} of "
                f"{len(unknown)} rows are not among them, such as {list(features.index[unknown][:3])}"
            )
        groups = groups.loc[features.index]
    groups = np.asarray(groups)
    n = features.shape[0] if hasattr(features, "shape") else len(features)
    if groups.shape != (n,):
        raise ValueError(
            f"groups of shape {groups.shape} do not belong to X of {n} rows; inside cross-validation hand over "
            "a function from X to its patients or a pandas Series with the index of X, or use metadata routing"
        )
    return groups
