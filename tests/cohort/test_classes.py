import json

import pytest

from rembrandt_featgen.cohort import classes
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError


def _refused(given, written, *words):
    with pytest.raises(InputError) as caught:
        classes.infer(given, written, "cohort.csv")
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in ("--classes", *words):
        assert word in message, message


def test_labels_and_positive():
    three = Classes.of(["a", "b", "c"])
    assert (three.count, three.positive) == (3, "c")
    assert [three.label(name) for name in "abc"] == [0, 1, 2]
    with pytest.raises(ValueError, match="one of a, b, c, received 'A'"):
        three.label("A")


@pytest.mark.parametrize("names", [(), ("a",), ("a", "a"), ("a", "A")])
def test_two_names_each_once(names):
    with pytest.raises(ValueError, match="two or more names, each once"):
        Classes.of(names)


def test_record_round_trip():
    pair = Classes.of(("case", "control"))
    assert json.loads(json.dumps(pair.record)) == {"names": ["case", "control"], "positive": "control"}
    assert Classes.of_record(json.loads(json.dumps(pair.record))) == pair


def test_match_in_any_case():
    pair = Classes.of(("LGG", "HGG"))
    assert [pair.match(text) for text in ("LGG", " hgg ", "Lgg", "GBM", "")] == ["LGG", "HGG", "LGG", "", ""]


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (("HGG", "LGG", "HGG"), ("LGG", "HGG")),
        (("hgg", "Lgg"), ("LGG", "HGG")),
        (("malignant", "benign"), ("benign", "malignant")),
        ((" Malignant", "BENIGN", "benign "), ("benign", "malignant")),
        (("Case", "Control"), ("control", "case")),
        (("1", "0"), ("0", "1")),
        (("HGG",), ("LGG", "HGG")),  # the other one may be missing: splitting says so
    ],
)
def test_known_pairs(written, names):
    assert classes.infer((), written, "here") == Classes(names, names[1])


@pytest.mark.parametrize(
    ("written", "example"),
    [
        (("wild", "mutant"), "--classes=mutant,wild or --classes=wild,mutant"),
        (("LGG", "HGG", "GBM"), "--classes=NEGATIVE,POSITIVE"),
        (("LGG", "case"), "--classes=LGG,case"),
        (("0", "2"), "--classes=0,2"),
        (("mutant",), "--classes=control,case"),
        ((), "--classes=control,case"),
    ],
)
def test_unknown_pairs_need_the_flag(written, example):
    _refused((), written, "cohort.csv", "positive one last", example)


def test_a_class_has_no_comma():
    with pytest.raises(InputError, match="cohort.csv has patients of class '0,5', .* no name .* a comma"):
        classes.infer((), ["0,5", "1,5"], "cohort.csv")


@pytest.mark.parametrize("point", ".,")
def test_without_decimals(point):
    assert classes.without_decimals([f"1{point}0", "", f"0{point}0"]) == ["1", "", "0"]
    assert classes.without_decimals([f"1{point}0", f"0{point}5"]) == [f"1{point}0", f"0{point}5"]


def test_given_names_set_order_and_spelling():
    assert classes.infer(("Wild", "mutant"), ["wild", "MUTANT"], "here") == Classes(("Wild", "mutant"), "mutant")
    assert classes.infer(("HGG", "LGG"), ["LGG", "HGG"], "here").positive == "LGG"
    assert classes.infer((" a ", "b", "c"), ["a", "b", "c"], "here").names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("a",), ["--classes=a:", "two names or more"]),
        (("a", "A"), ["--classes=a,A", "each once"]),
        (("a", ""), ["''", "cannot be the name"]),
        (("a", "b/c"), ["'b/c'", "letters"]),
        (("a", "b:1"), ["'b:1'", "letters"]),
        (("_a", "b"), ["'_a'", "first"]),
        (("total", "b"), ["'total'", "none of all, minority, total"]),
        (("a", "bb"), ["--classes=a,bb", "no patient of class 'bb'", "only of a, b; correct the name"]),
        (("a", "b", "c"), ["no patient of class 'c'", "only of a, b"]),
    ],
)
def test_given_names_that_do_not_fit(given, words):
    _refused(given, ["a", "b"], *words)


def test_patients_of_a_class_that_is_not_named():
    _refused(("a", "b"), ["a", "b", "bb"], "cohort.csv has patients of class 'bb'", "--classes=a,b does not name")


def test_positive_first():
    assert Classes.of("abc").positive_first == ("c", "a", "b")
    assert Classes(("a", "b"), "a").positive_first == ("a", "b")
