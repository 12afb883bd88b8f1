import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from rembrandt_featgen.evaluation import studies
from rembrandt_featgen.evaluation.studies import evaluate, table_of

X = pd.DataFrame(np.arange(12.0).reshape(6, 2), columns=["size", "texture"], index=list("uvwxyz"))
Y = pd.Series(["a", "a", "b", "b", "a", "a"], index=X.index)
PATIENTS = pd.Series([1, 1, 2, 2, 3, 3], index=X.index)


def test_rows_of_one_index_belong_together():
    for x, y, groups in ((X, Y, PATIENTS), (X, Y.to_numpy(), PATIENTS), (X.to_numpy(), Y, PATIENTS)):
        table = table_of(x, y, groups=groups)
        assert table.labels.tolist() == [0, 0, 1, 1, 0, 0]
        assert table.patients.tolist() == list("112233")
    numbered = X.reset_index(drop=True)
    assert len(table_of(numbered, Y.set_axis(pd.Index(range(6))))) == 6


def test_another_index_is_refused():
    with pytest.raises(ValueError, match="the index of y has the labels of that of X in another order; give y.loc"):
        table_of(X, Y[::-1])
    with pytest.raises(ValueError, match=r"the index of groups \(6 rows\) has other labels than that of X"):
        table_of(X, Y, groups=PATIENTS.reset_index(drop=True))
    with pytest.raises(ValueError, match="the index of groups .* that of y in another order"):
        table_of(X.to_numpy(), Y, groups=PATIENTS[::-1])
    with pytest.raises(ValueError, match=r"the index of sites \(5 rows\) has other labels"):
        table_of(X, Y, sites=PATIENTS[:5])
    with pytest.raises(ValueError, match="other labels"):  # one of them twice
        table_of(X, Y.set_axis(list("uuwxyz")))


def test_a_column_of_text_is_named():
    with pytest.raises(ValueError, match="X: column 'sex' holds 'F', not a number"):
        table_of(X.assign(sex=["F", "M"] * 3), Y)
    with pytest.raises(ValueError, match="X: column 1 holds 'F', not a number"):
        table_of([[1.0, "F"]] * 6, Y)
    assert np.isnan(table_of(X.assign(age=pd.Series([None, 1, 2, 3, 4, 5], X.index, object)), Y).values[0, 2])


def test_x_and_y_of_another_kind():
    with pytest.raises(ValueError, match="X is sparse; give a dense array"):
        table_of(sparse.csr_matrix(X.to_numpy()), Y)
    with pytest.raises(ValueError, match=r"y must be \[n\], .*, received \[6, 2\]; of one-hot columns"):
        table_of(X, pd.get_dummies(Y))
    with pytest.raises(ValueError, match=r"groups must be \[n\], one value for each sample, received \[6, 1\]$"):
        table_of(X, Y, groups=PATIENTS.to_frame())


def test_measured_numbers_are_no_classes():
    many = np.random.default_rng(0).normal(size=(24, 2))
    for y in (np.linspace(0, 1, 24), np.arange(24.0), np.arange(24) // 2 + 0.5):
        with pytest.raises(ValueError, match="y looks continuous: .* distinct numbers in 24 samples"):
            table_of(many, y)
    assert table_of(many, np.arange(24) % 2 / 2).classes.names == ("0.0", "0.5")


def test_one_name_is_a_name(monkeypatch):
    """A text is no sequence of letters."""
    seen = {}

    def run(tasks, work):
        raise KeyboardInterrupt

    def settings(**named):
        seen.update(named)

    monkeypatch.setattr(studies.engine, "run", run)
    monkeypatch.setattr(studies.competitors, "Settings", settings)
    y = np.repeat(["a", "b"], 12)
    with pytest.raises(KeyboardInterrupt):
        evaluate(np.random.default_rng(0).normal(size=(24, 2)), y, arms="none", classifiers="ridge", folds=2)
    assert (seen["arms"], seen["classifiers"]) == (("none",), ("ridge",))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"folds": 1}, "^folds=1: folds must be 2 or more"),
        ({"trainings": 0}, "^trainings=0: trainings must be 1 or more"),
        ({"bootstrap_draws": 0}, "^bootstrap_draws=0: bootstrap_draws must be 2 or more"),
        ({"arms": ("none", "smot")}, "^arms: 'smot' is unknown, is 'smote' meant"),
        ({"classifiers": ("rigde",)}, "^classifiers: 'rigde' is unknown, is 'ridge' meant"),
        ({"arms": ("none", "acgan")}, "^arms: 'acgan' adds samples that are made of volumes"),
        ({"arms": ("none", "synthetic")}, "^arms: 'synthetic' adds samples of a file, .* --synthetic"),
        ({"y": None}, "^y is None; give the label"),
        ({"y": np.repeat("a", 24)}, "^y holds one class, a; give samples of two"),
        ({"y": np.repeat(["a", "b"], 10)}, "^y has 20 values, and X has 24 samples"),
        ({"groups": np.arange(10)}, "^groups has 10 values, and X has 24 samples"),
        ({"y": np.repeat(["a", "b"], [22, 2])}, "^folds=5: class b has 2 groups .*; add patients of it, 3 are needed"),
        (
            {"y": np.repeat(["a", "b"], [23, 1])},
            "^folds=5: class b has 1 group of .*; add patients of it, 3 are",
        ),
        ({"y": np.repeat(["a", "b"], [20, 4])}, "^folds=5: class b has 4 groups .*; take 2 to 4"),
        ({"y": np.repeat(["a", "b"], [21, 3]), "folds": 2}, "^folds=2: class b has 3 groups .*; take 3$"),
    ],
)
def test_what_is_wrong_is_named_first(given, words):
    arrays = {"X": np.random.default_rng(0).normal(size=(24, 2)), "y": np.repeat(["a", "b"], 12)}
    with pytest.raises(ValueError, match=words):
        evaluate(**(arrays | given))


def test_a_column_that_is_empty_or_infinite_is_named():
    with pytest.raises(ValueError, match="X: column 'age' has no value at all; leave it out"):
        table_of(X.assign(age=np.nan), Y)
    for value in (np.inf, 1e300):
        with pytest.raises(ValueError, match="X: column 1 is infinite, or too large for float32, in row 2"):
            table_of(np.where(np.arange(12).reshape(6, 2) == 5, value, X.to_numpy()), Y.to_numpy())
    maps = np.ones((6, 2, 2, 1))
    maps[3, 0] = np.inf
    with pytest.raises(ValueError, match="X is infinite in sample 3"):
        table_of(maps, Y.to_numpy())
