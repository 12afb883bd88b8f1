import math

import pytest

from rembrandt_featgen.reporting import page


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (page.number(0.12345), "0.123"),
        (page.number(-0.5), "\N{MINUS SIGN}0.500"),
        (page.signed(0.5), "+0.500"),
        (page.count(12345.4), "12,345"),
        (page.interval([0.1, -0.2]), "[0.100, \N{MINUS SIGN}0.200]"),
        (page.interval([0.1, 0.2], "+.1f"), "[+0.1, +0.2]"),
        (page.interval([0.1, math.nan]), ""),
        (page.interval(None), ""),
        (page.setting(["a", 1]), "a, 1"),
        (page.setting(True), "true"),
        (page.relative("//evil.example/a b"), "evil.example/a%20b"),
        (page.relative("https://x"), "https%3A//x"),
    ],
)
def test_values_as_text(made, text):
    assert str(made) == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_undefined_says_why(value):
    assert page.number(value, "a < b") == ('<abbr title="a &lt; b" aria-label="a &lt; b">\N{EN DASH}</abbr>')


def test_figures_of_a_section_stand_in_the_order_of_places():
    png = b"\x89PNG\r\n\x1a\n" + bytes(8) + (400).to_bytes(4, "big") + (200).to_bytes(4, "big")
    places = {"b": page.Place("s", "alt b", "cap b"), "a": page.Place("s", "alt a", "cap a")}
    sections = page.by_section({"a1": png, "other": png, "b": png}, places)
    assert [figure["alt"] for figure in sections["s"]] == ["alt b", "alt a"]
    assert [figure["alt"] for figure in sections["other"]] == ["other"]
    assert (sections["s"][0]["width"], sections["s"][0]["height"]) == (200, 100)


def test_numbers_of_any_size_are_short():
    assert [page.short(value) for value in (0.08938, 12.5, 999.96, 1234.6, 41234567.0)] == [
        "0.08938",
        "12.5",
        "1000",
        "1,235",
        "41,234,567",
    ]
    assert "nobody" in page.short(None, "nobody") and "nobody" in page.short(float("nan"), "nobody")


def test_a_line_becomes_a_sentence_whose_flags_stay_whole():
    said = page.sentence_of("flair <b> is dark; --fit=resize helps")
    assert said == 'Flair &lt;b&gt; is dark; <span class="flag">--fit</span>=resize helps.'
    assert page.sentence_of("Is it whole?") == "Is it whole?" and page.sentence_of(None) == "."
