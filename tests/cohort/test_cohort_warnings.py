"""Each warning is given where there is something to look at, names it, and is not given elsewhere."""

import numpy as np
import pytest

from rembrandt_featgen.cohort import cohort_warnings as warnings
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Patient

PAIR = Classes.of(("LGG", "HGG"))
NAMES = [f"P{number:02}" for number in range(24)]
ALIKE = dict.fromkeys(NAMES, (5.0, 1.0, 1.0))


def one(said, *words):
    """There is one sentence, of one line, and it holds the words."""
    assert len(said) == 1
    assert "\n" not in said[0] and not said[0].endswith(".")
    for word in words:
        assert word in said[0]


def test_some_names_and_how_many_more():
    assert warnings.some({"b", "a"}) == "a, b"
    assert warnings.some(NAMES) == "P00, P01, P02 and 21 more"
    assert warnings.patients(["x"]) == "1 patient (x)"


def test_mixed_spacing():
    assert warnings.mixed_spacing(ALIKE) == []
    assert warnings.mixed_spacing({**ALIKE, "P00": (5.9, 1.0, 1.0)}) == []  # by 18%
    assert warnings.mixed_spacing({}) == []
    said = warnings.mixed_spacing({**ALIKE, "P00": (6.5, 1.0, 1.0), "P01": (5.0, 1.0, 0.45)})
    one(said, "slices 5 mm apart (P01) to 6.5 mm (P00)", "columns 0.45 mm apart (P01) to 1 mm", "--spacing=1,1,5")
    assert "rows" not in said[0]
    said = warnings.mixed_spacing({**ALIKE, "P00": (1.0, 1.0, 5.0)})  # the medians of two planes are those of none
    one(said, "columns 1 mm apart (P01) to 5 mm (P00)", "--slice_axis=auto")
    assert "--spacing" not in said[0]
    one(warnings.mixed_spacing({"P00": (1.0, 1.0, 5.0), "P01": (1.0, 1.0, 3.0)}), "--spacing=4,1,1")


def test_slices_across_a_thick_axis():
    assert warnings.thick_in_plane({**ALIKE, "P00": (1.0, 1.4, 1.0)}) == []
    said = warnings.thick_in_plane({**ALIKE, "P03": (1.0, 1.0, 5.0), "P02": (0.9, 5.0, 0.9)})
    one(said, "2 patients (P02, P03)", "of P02 5 x 0.9 mm", "0.9 mm apart", "--slice_axis=auto")


def test_no_orientation():
    assert warnings.without_orientation({}) == []
    one(
        warnings.without_orientation({"P1": "a.hdr", "P0": "b.hdr, as LPS"}),
        "2 patients (P0, P1)",
        "such as b.hdr, as LPS",
        "pictures",
    )


def levels(**of_site):
    """Levels around 100 of 24 patients of three sites, those of some sites times a factor."""
    sites = {name: "ABC"[number % 3] for number, name in enumerate(NAMES)}
    noise = np.random.default_rng(0).uniform(50, 150, len(NAMES))
    return {name: value * of_site.get(sites[name], 1) for name, value in zip(NAMES, noise)}, sites


def test_a_site_that_is_1000_times_as_bright():
    one(warnings.brightness(*levels(B=1000), "flair"), "flair of site B is 1,", "times as bright", "--normalise=volume")
    one(warnings.brightness(*levels(B=0.001), "flair"), "site B", "times as dark")
    assert warnings.brightness(*levels(), "flair") == warnings.brightness(*levels(B=6), "flair") == []


def test_patients_that_are_much_brighter_where_no_site_is_known():
    found, _ = levels()
    nowhere = dict.fromkeys(found, "")
    assert warnings.brightness(found, nowhere, "t1") == warnings.brightness({"P00": 1.0}, nowhere, "t1") == []
    one(warnings.brightness({**found, "P05": 1e5}, nowhere, "t1"), "t1 of 1 patient (P05)", "median patient")


def test_ct_among_mri():
    mri, ct = dict.fromkeys(NAMES[:20], 0.0), dict.fromkeys(NAMES[20:], -1000.0)
    assert warnings.mixed_kinds(mri, "ct") == warnings.mixed_kinds(ct, "ct") == []
    one(warnings.mixed_kinds({**mri, **ct}, "x"), "x of 4 patients (P20, P21, P22 and 1 more) fall below -200")
    one(warnings.mixed_kinds({**ct, "P00": 0.0}, "x"), "1 patient (P00) do not fall")


def test_modalities_that_are_one_image():
    assert warnings.same_images({}) == []
    one(warnings.same_images({"P1": ("flair", "t2")}), "1 patient (P1)", "flair and t2")


def test_masks():
    assert warnings.masks({"P0": 10, "P1": 999}) == []
    empty, tiny = warnings.masks({"P0": 0, "P1": 9, "P2": 10})
    assert "1 patient (P0): the mask is empty" in empty and "1 patient (P1)" in tiny


def test_few_slices():
    assert warnings.few_slices({"P0": 3}) == []
    one(warnings.few_slices({"P0": 3, "P1": 1}), "1 patient (P1)")


def test_volume_that_tells_the_class():
    labels = {name: PAIR.names[number % 2] for number, name in enumerate(NAMES)}
    equal = {name: float(number // 2) for number, name in enumerate(NAMES)}
    alone = {name: name for name in NAMES}
    assert warnings.volume_tells_class(equal, labels, PAIR, groups_of=alone) == []  # AUROC 0.5
    larger = {name: equal[name] + 12 * (labels[name] == "HGG") for name in NAMES}
    said = warnings.volume_tells_class(larger, labels, PAIR, groups_of=alone)
    one(said, "AUROC 1.00, 95% interval 0.83 to 1.00", "larger in HGG", "size alone")
    smaller = {name: -value for name, value in larger.items()}
    one(warnings.volume_tells_class(smaller, labels, PAIR, groups_of=alone), "AUROC 1.00", "smaller in HGG")
    # by hand: of 5 x 5 pairs 24 are in order
    some = dict(zip("abcdefghij", (1, 2, 3, 4, 6, 5, 7, 8, 9, 10)))
    of = dict(zip("abcdefghij", ("LGG",) * 5 + ("HGG",) * 5))
    one(warnings.volume_tells_class(some, of, PAIR, groups_of=dict(zip(some, some))), "AUROC 0.96, 95% interval 0.")
    # four groups of a class, whatever their visits, and four patients, are too few
    visits = {**dict(zip(some, some)), "a": "x", "b": "x"}
    assert warnings.volume_tells_class(some, of, PAIR, groups_of=visits) == []
    three = Classes.of(("LGG", "HGG", "other"))
    assert warnings.volume_tells_class(larger, labels, three, groups_of=alone) == []
    assert warnings.volume_tells_class({"a": 1.0}, of, PAIR, groups_of={"a": "a"}) == []
    # an AUROC of 0.8 of 5 and 5 is no more than chance
    chance = dict(zip("abcdefghij", (1, 2, 3, 9, 9.5, 4, 5, 10, 11, 12)))
    assert warnings.volume_tells_class(chance, of, PAIR, groups_of=dict(zip(some, some))) == []


def test_sites_that_tell_the_class():
    sites = {name: "AB"[number % 2] for number, name in enumerate(NAMES)}
    mixed = {name: PAIR.names[number // 2 % 2] for number, name in enumerate(NAMES)}
    assert warnings.classes_by_site(mixed, sites, PAIR) == []
    assert warnings.classes_by_site(mixed, dict.fromkeys(NAMES, ""), PAIR) == []
    apart = {name: PAIR.names[number % 2] for number, name in enumerate(NAMES)}
    said = warnings.classes_by_site(apart, sites, PAIR)
    one(said, "A HGG 0, LGG 12; B HGG 12, LGG 0", "p < 0.001", "--cv_grouping=site")
    assert "A LGG 12, HGG 0" in warnings.classes_by_site(apart, sites, Classes.of(("HGG", "LGG")))[0]


def patients(count, groups=lambda name: name):
    return [Patient(f"{label}{n}", label, {}, group=groups(n), mask=None) for label in PAIR.names for n in range(count)]


def test_few_groups_and_groups_of_several_classes():
    assert warnings.groups(patients(10, lambda n: ""), PAIR) == []
    one(warnings.groups(patients(9, lambda n: ""), PAIR), "few patients, 9 of class HGG, 9 of class LGG")
    said = warnings.groups(patients(12, lambda n: f"family {n}"), PAIR)
    assert "no group counts as class HGG" in said[0] and "12 groups" not in said[0]
    one(said[1:], "12 groups (family 0, family 1, family 10 and 9 more)", "several classes")


def test_look_alikes():
    pairs = [("a", "b", 0.9999), ("a", "c", 0.997), ("b", "c", 0.996)]
    alone = {"a": "a", "b": "b", "c": "c"}
    one(warnings.look_alikes(pairs, alone), "a and b", "0.9999", "and 2 more such pairs")
    one(warnings.look_alikes(pairs, {**alone, "b": "a"}), "a and c", "0.9970", "and 1 more such pair)")
    assert warnings.look_alikes(pairs, dict.fromkeys("abc", "one")) == warnings.look_alikes([], alone) == []


@pytest.mark.parametrize("name", ["mixed_spacing", "thick_in_plane", "masks", "few_slices", "same_images"])
def test_nobody_is_no_reason_to_warn(name):
    assert getattr(warnings, name)({}) == []
