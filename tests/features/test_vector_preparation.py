import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from rembrandt_featgen.features import vector_preparation


def values():
    random = np.random.default_rng(0)
    x = random.normal(3.0, 5.0, (40, 6)) @ random.normal(size=(6, 6))
    x[random.random(x.shape) < 0.1] = np.nan
    x[:, 4] = 7.0
    return x


def test_it_is_scikit_learns_of_the_training_samples():
    x = values()
    imputer, scaler = SimpleImputer(strategy="median"), StandardScaler()
    wanted = scaler.fit_transform(imputer.fit_transform(x[:30]))
    preparation = vector_preparation.fit(x[:30])
    np.testing.assert_allclose(preparation.apply(x[:30]), wanted, atol=1e-5)
    np.testing.assert_allclose(preparation.apply(x[30:]), scaler.transform(imputer.transform(x[30:])), atol=1e-5)
    assert preparation.imputed == np.isnan(x[:30]).sum() and preparation.constant == 1
    assert preparation.apply(np.full((1, 6), np.nan)).dtype == np.float32


def test_principal_components_have_unit_variance():
    x = values()
    plain = vector_preparation.fit(x).apply(x)
    found = vector_preparation.fit(x, components=3).apply(x)
    wanted = PCA(3, whiten=True).fit_transform(plain) * np.sqrt(40 / 39)
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-3)
    assert vector_preparation.fit(x, components=50).size == 5  # one column is constant


def test_what_is_far_off_stops_where_it_is_far():
    x = values()
    for components in (0, 3):
        preparation = vector_preparation.fit(x, components=components)
        off, further = x[:2].copy(), x[:2].copy()
        off[1, 0], further[1, 0] = 1e5, 1e9
        far = preparation.apply(off)
        np.testing.assert_array_equal(far, preparation.apply(further))
        np.testing.assert_array_equal(far[0], preparation.apply(x[:1])[0])
        assert np.abs(far[1]).max() == pytest.approx(20.0) or components
    assert np.abs(vector_preparation.fit(x).apply(x)).max() < 20.0


def test_a_column_without_any_value_becomes_zero():
    x = values()
    x[:, 0] = np.nan
    assert np.all(vector_preparation.fit(x).apply(x)[:, 0] == 0)
    x[0, 0] = 5.0  # unlike in training
    assert np.isfinite(vector_preparation.fit(x[1:]).apply(x)).all()


def test_restored_vectors_are_those_that_were_prepared():
    table = np.random.default_rng(0).normal(3, [1, 100, 0], (20, 3))
    table[4, 0] = np.nan
    prepared = vector_preparation.fit(table)
    restored = prepared.restore(prepared.apply(table))
    assert np.allclose(restored, np.where(np.isnan(table), prepared.median, table), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="principal components"):
        vector_preparation.fit(table, components=1).restore(np.zeros((2, 1)))
