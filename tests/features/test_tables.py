import dataclasses

import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.features.tables import in_float32, joined, numbered, table_of_arrays

CLASSES = Classes.of(("a", "b", "c"))


def table(**changes):
    given = {
        "values": [[1.0, np.nan], [-2.0, 0.5], [3.0, 4.0], [5.0, 6.0]],
        "labels": [0, 1, 0, 2],
        "classes": CLASSES,
        "patients": ["p", "q", "p", "r"],
        "groups": ["g", "g", "g", "h"],
        "sites": ["s", "t", "s", "t"],
        "covariates": {"age": np.array([50.0, np.nan, 50.0, 61.0])},
        **changes,
    }
    return table_of_arrays(given.pop("values"), given.pop("labels"), **given)


def test_what_is_not_given_is_filled_in():
    plain = table_of_arrays(np.ones((3, 2), np.float64), [0, 1, 1], classes=CLASSES)
    assert plain.values.dtype == np.float32
    assert plain.groups.tolist() == plain.patients.tolist() == ["000000", "000001", "000002"]
    assert (plain.sites, plain.samples.tolist(), plain.names) == (None, [0, 0, 0], ("x0", "x1"))
    assert (plain.signed, plain.is_map, plain.shape, len(plain), plain.covariates) == (True, False, (2,), 3, {})


@pytest.mark.parametrize(("least", "signed"), [(0.0, False), (-0.1, True)])
def test_maps_are_signed_where_a_value_is_below_0(least, signed):
    maps = np.zeros((2, 3, 3, 4))
    maps[1, 2, 0, 3] = least
    found = table_of_arrays(maps, [0, 1], classes=CLASSES)
    assert (found.signed, found.is_map, found.shape, found.missing) == (signed, True, (3, 3, 4), 0)


@pytest.mark.parametrize("rows", [np.array([3, 0, 0]), np.array([True, False, False, True])])
def test_some_rows(rows):
    part = table().take(rows)
    numbers = np.arange(4)[rows]
    for name in ("values", "labels", "patients", "groups", "sites", "samples"):
        np.testing.assert_array_equal(getattr(part, name), getattr(table(), name)[numbers])
    np.testing.assert_array_equal(part.covariates["age"], table().covariates["age"][numbers])
    assert (part.names, part.classes, part.signed) == (table().names, CLASSES, True)


def test_parts_are_joined_again():
    whole = joined([table().take(np.array([0, 2])), table().take(np.array([1, 3]))])
    expected = table().take(np.array([0, 2, 1, 3]))
    for name in ("values", "labels", "patients", "groups", "sites", "samples"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(expected, name))
    np.testing.assert_array_equal(whole.covariates["age"], expected.covariates["age"])
    for other in (table(names=["a", "b"]), table(covariates={})):
        with pytest.raises(ValueError, match="different columns, classes or covariates"):
            joined([table(), other])


def test_missing_values_are_counted():
    assert table().missing == 1


def test_samples_are_numbered_within_their_patients():
    assert numbered(np.array(["b", "a", "b", "c", "a", "b"])).tolist() == [0, 0, 1, 0, 1, 2]
    assert numbered(np.array([], str)).tolist() == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0, 1, 1, 2]}, "patient p has label a in one sample and b in another"),
        ({"groups": ["g", "g", "h", "h"]}, "patient p has group g in one sample and h in another"),
        ({"sites": ["s", "t", "t", "t"]}, "patient p has site s in one sample and t in another"),
        ({"labels": [0, 1, 0, 3]}, "labels must be from 0 to 2 for the classes a, b, c; received 0 to 3"),
        ({"labels": [0, 1, 0]}, r"labels must be \[4\], one a sample, received \[3\]"),
        ({"covariates": {"age": np.ones(3)}}, r"covariate age must be \[4\]"),
        ({"names": ["x"]}, "need 2 names, each once, for their last axis; received 1"),
        ({"names": ["x", "x"]}, "received 2, 1 of which differ"),
        ({"signed": False}, "not signed must be 0 or above"),
        ({"values": [[1.0, np.inf], [0, 0], [0, 0], [0, 0]]}, "finite, or NaN where they are missing"),
        ({"values": np.full((4, 1, 1, 2), np.nan)}, "maps must be finite"),
        ({"values": np.ones((4, 2, 2))}, r"must be vectors \[n, d\] or maps .* received \[4, 2, 2\]"),
        ({"values": np.array([["1", "2"]] * 4)}, "must be numbers, received <U1"),
        ({"values": np.full((4, 2), 1e39)}, "beyond 3.4e38"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        table(**changes)


@pytest.mark.parametrize("name", ["labels", "samples"])
def test_types_are_exact(name):
    with pytest.raises(ValueError, match=f"{name} must be int64, received int32"):
        dataclasses.replace(table(), **{name: getattr(table(), name).astype(np.int32)})


def test_float32_is_not_copied():
    values = np.ones((2, 2), np.float32)
    assert in_float32(values) is values
    assert in_float32(np.array([True, False])).tolist() == [1.0, 0.0]
