import pytest

from rembrandt_featgen.cohort.who_grades import parse_grade
from rembrandt_featgen.core.errors import InputError


@pytest.mark.parametrize(
    ("text", "grade"),
    [(text, "LGG") for text in ("LGG", "lgg", "2", "2.0", "II", "g2", "Grade II", "WHO grade 2", "who ii")]
    + [(text, "HGG") for text in ("HGG", " hgg ", "3", "iii", "G3", "grade 4", "IV", "4.0", "WHO IV", "G4")],
)
def test_parse_grade(text, grade):
    assert parse_grade(text, "here") == grade


@pytest.mark.parametrize("text", ["", "  ", "1", "I", "V", "unknown", "23", "GBM", "nan", "2.5"])
def test_parse_grade_refuses(text):
    with pytest.raises(InputError) as caught:
        parse_grade(text, "cohort.csv line 2: patient P1")
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in ("line 2: patient P1", "LGG", "--classes", "--cohort"):
        assert word in message
