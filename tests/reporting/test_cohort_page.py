import csv
import io
import re
import struct

import numpy as np
import pytest
from PIL import Image

from rembrandt_featgen.reporting import cohort_figures, cohort_page, cohort_text
from rembrandt_featgen.reporting.drawing import SKY
from tests.reporting.pages import EVIL, Page, browse, damaged, measure, needs_browser
from tests.reporting.test_study_page import poisoned

RANGE = {"low": 12.5, "middle": 20.0, "high": 4321.0}
VALUES = {"lowest": 0.0, "q05": 11.0, "q25": 20.0, "q50": 33.25, "q75": 50.0, "q95": 90.0, "share": 0.4}


def patient(name, label, site="", **changes):
    known = {
        "patient": name,
        "label": label,
        "group": name,
        "site": site,
        "problem": "",
        "shape": [30, 256, 240],
        "spacing": [5.0, 1.0, 0.9],
        "tumour_voxels": 12345,
        "tumour_ml": 55.6,
        "moved": "",
        "tumour_slices": 7,
        "largest_slice": 14,
        "intensities": {"flair": dict(VALUES)},
        "same": [],
    }
    return {**known, **changes}


def unreadable(name, label, site=""):
    nothing = {"shape": [], "spacing": [], "intensities": {}, "tumour_voxels": 0, "tumour_ml": None}
    return patient(name, label, site, problem=f"{name}.nii.gz: truncated", **nothing)


def make(count=6):
    """What a report of a cohort holds."""
    patients = [patient(f"P{n:02}", ("HGG", "LGG")[n % 2], "AB"[n // 2 % 2]) for n in range(count)]
    return {
        "classes": {"names": ["LGG", "HGG"], "positive": "HGG"},
        "cohort": {
            "source": "/data/my.csv",
            "layout": "manifest",
            "table": "/data/labels.csv",
            "notes": ["the column 'ID' has 6 of 7 patients (--patient_column)"],
            "noun": "visits",
            "patients": {"HGG": 3, "LGG": 1234},
            "groups": 5,
            "groups_noun": "patients",
            "sites": {"A": {"HGG": 2, "LGG": 1}, "": {"HGG": 1, "LGG": 2}},
        },
        "modalities": ["flair"],
        "spacing": {"real": True, "why": "not all voxels are 1 mm"},
        "sizes": {
            "axes": {"slices": {"size": RANGE, "mm": {"low": 1.0, "middle": 5.0, "high": 6.5}}},
            "forms": [{"shape": [30, 256, 240], "spacing": [5.0, 1.0, 0.9], "patients": 4}],
            "more_forms": 2,
        },
        "intensities": {"flair": {"A": {"patients": 3, **RANGE}, "": {"patients": 3, **RANGE}}},
        "tumours": {"unit": "ml", "classes": {"HGG": {"patients": 3, "empty": 1, **RANGE}}},
        "patients": [*patients, unreadable("P99", "LGG", "B")],
        "problems": [{"patient": "P99", "problem": "P99.nii.gz: truncated"}],
        "findings": [
            "flair of site B is 1,000 times as bright; --normalise=volume",
            "2 patients (P1, P2): the mask is empty",
        ],
        "verdict": "7 patients: 1 of them cannot be used; 2 things to look at.",
        "settings": {"cohort": "/data/my.csv"},
        "versions": {"numpy": "1.26"},
    }


def picture(side=32):
    mask = np.zeros((side, side), bool)
    mask[8:16, 10:20] = True
    return cohort_figures.thumbnail(np.full((side, side), 100, np.uint8), mask)


def pictures_of(names, modalities=1):
    return {name: [picture()] * modalities for name in names}


@pytest.fixture(scope="module")
def text():
    pictures = pictures_of(f"P{n:02}" for n in range(6))
    return cohort_page.render(make(), pictures, {"title": "my_run", "date": "2024-01-02"})


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_problems_and_warnings_come_before_all_else(page):
    words = page.text[page.text.index("} my_run") :]
    order = ["my_run", "7 patients: 1 of them cannot be used", "Cannot be used: 1 patient P99 : P99.nii.gz: truncated."]
    order += [
        "To look at Flair of site B is 1,000 times as bright; --normalise =volume. 2 patients (P1, P2)",
        "Visits by class and site.",
    ]
    order += ["Pictures Of each visit", "HGG (3)", "LGG (3)", "Sizes and spacing", "Intensities by site"]
    order += ["Tumours Volume"]
    places = [words.index(part) for part in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "wanted",
    [
        "They are of 5 patients, which no split divides",
        "Source: /data/my.csv (layout manifest; labels of /data/labels.csv)",
        "The column 'ID' has 6 of 7 patients ( --patient_column ).",
        "A 2 1 3 site not known 1 2 3 all 3 1,234 1,237",
        "slices 12.5 20 4,321 1 5 6.5",
        "Spacing is taken as real: not all voxels are 1 mm.",
        "30 x 256 x 240 5 x 1 x 0.9 4 And 2 other combinations.",
        "A 3 12.5 20 4,321 site not known 3 12.5 20 4,321",
        "in ml. Class visits empty masks lowest median highest HGG 3 1 12.5 20 4,321",
        "P00 A · 55.6 ml · slice 14 of 30",
        "patients.csv",
    ],
)
def test_shows(page, wanted):
    links = cohort_page.render(make(), {}, {"title": "x", "links": {"patients.csv": "patients.csv"}})
    assert wanted in page.text.replace(" ,", ",") or wanted in Page(links).text


def test_every_patient_has_a_picture_with_words(page):
    words = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(words) == 2 + 6 and all(words)
    assert sum(word.startswith("Slice of P0") for word in words) == 6


def test_every_modality_has_a_picture():
    report = {**make(), "modalities": ["flair", "t1"]}
    shown = Page(cohort_page.render(report, pictures_of(["P00", "P01"], 2), {}))
    words = [value for tag, name, value in shown.attributes if (tag, name) == ("img", "alt")]
    assert sum(word.startswith("Slice of P0") and word.endswith(", t1") for word in words) == 2
    assert "flair t1 P00 A" in shown.text and "in each modality" in shown.text


def test_the_outline_lies_around_the_mask_and_greys_stay():
    drawn = np.asarray(Image.open(io.BytesIO(picture())).convert("RGB")).astype(int)
    assert drawn.shape == (160, 160, 3)  # five times as large
    blue = (drawn == [int(SKY[place : place + 2], 16) for place in (1, 3, 5)]).all(-1)
    rows, columns = np.nonzero(blue)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (39, 80, 49, 100)  # just outside 40..79, 50..99
    assert not blue[45:75, 55:95].any()
    assert np.abs(drawn[~blue] - 100).max() <= 2


def test_an_empty_mask_has_no_outline_and_large_pictures_keep_their_size():
    drawn = Image.open(
        io.BytesIO(
            cohort_figures.thumbnail(np.arange(160 * 90, dtype=np.uint8).reshape(90, 160), np.zeros((90, 160), bool))
        )
    )
    assert drawn.size == (160, 90)
    assert 128 not in np.asarray(drawn)


def test_captions():
    assert cohort_page.caption(patient("x", "LGG", plane="coronal"), "ml") == "55.6 ml · coronal slice 14 of 30"
    assert cohort_page.caption(patient("x", "LGG", "S"), "voxels") == "S · 12,345 voxels · slice 14 of 30"
    assert (
        cohort_page.caption(patient("x", "LGG", tumour_voxels=0, tumour_ml=0.0), "ml") == "empty mask · slice 14 of 30"
    )


def test_text_says_what_the_page_says():
    said = cohort_text.text(make())
    for wanted in (
        "7 patients: 1 of them",
        "source: /data/my.csv",
        "layout: manifest",
        "labels of: /data/labels.csv",
        "how it was read\n  - the column 'ID' has 6 of 7 patients",
        "\nvisits\n",
        "  - P99: P99.nii.gz: truncated",
        "  - flair of site B is 1,000 times as bright",
        "site not known    1     2",
        "spacing is real: not all voxels are 1 mm",
        "12.5 20 4,321",
    ):
        assert wanted in said
    nothing = cohort_text.text({})
    assert "  - nothing" in nothing and "cannot be used" not in nothing


def test_csv_has_a_row_for_each_patient_with_all_that_was_measured():
    rows = list(csv.DictReader(io.StringIO(cohort_text.patients_csv(make()))))
    assert len(rows) == 7
    assert (rows[0]["patient"], rows[0]["rows"], rows[0]["mm_slices"], rows[0]["flair_q50"]) == (
        "P00",
        "256",
        "5.0",
        "33.25",
    )
    assert rows[-1]["problem"] == "P99.nii.gz: truncated" and rows[-1]["tumour_voxels"] == rows[-1]["flair_q50"] == ""


def test_loads_nothing_and_runs_nothing(text, page):
    assert not re.search("https?://", text)
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import", text)


def test_escapes_what_it_is_given():
    report = poisoned(make(), EVIL)
    report["modalities"] = []  # keys of what is drawn
    text = cohort_page.render(report, {EVIL: [picture()]}, {"title": EVIL, "links": {EVIL: EVIL}})
    assert EVIL not in text and "<script" not in text
    assert Page(text).text.count(EVIL) > 10


@pytest.mark.parametrize("change", ["missing", None, float("nan")])
def test_bears_whatever_is_missing(change, monkeypatch):
    monkeypatch.setattr(cohort_figures, "draw", lambda report: {})  # drawn in the test below
    for path, report in damaged(make(2), change):
        try:
            Page(cohort_page.render(report, {"P00": [picture()]}, {}))
            cohort_text.text(report)
            cohort_text.patients_csv(report)
        except Exception as error:
            raise AssertionError(f"fails without {path}") from error


@pytest.mark.parametrize("change", ["missing", None])
def test_figures_leave_out_what_is_missing(change, monkeypatch):
    for name in ("intensities", "tumours"):
        monkeypatch.setattr(cohort_figures, name, lambda values, words: b"")
    for path, report in damaged({"patients": make(2)["patients"][:1], "tumours": {"unit": "ml"}}, change):
        report |= {"classes": make()["classes"], "modalities": ["flair"]}
        try:
            cohort_figures.draw(report)
        except Exception as error:
            raise AssertionError(f"fails without {path}") from error


def test_figures_of_extremes():
    report = make(2)
    report["patients"][0]["intensities"]["flair"] = {key: value * 1000 - 900 for key, value in VALUES.items()}
    report["patients"][1]["tumour_ml"] = 0.001
    assert set(cohort_figures.draw(report)) == {"intensities_flair", "tumours"}
    report["patients"] = [unreadable("P1", "LGG")]
    assert cohort_figures.draw(report) == {}


@needs_browser
def test_fits_phones_and_desks_and_asks_for_nothing(text, tmp_path):
    word = "w" * 90
    long = poisoned(make(), word)
    long["modalities"] = []
    long_text = cohort_page.render(long, {word: [picture()]}, {"title": word})
    several = cohort_page.render({**make(), "modalities": list("abcd")}, pictures_of(["P00", "P01"], 4))
    pages = [(one, width) for one in (text, long_text, several) for width in (360, 1280)]
    for found in measure([*pages, (cohort_page.render({}, {}), 360)], tmp_path):
        assert found["scroll"] <= found["width"] and found["out"] == []
        assert found["shown"] == found["images"]
        assert found["requests"] == []


@needs_browser
def test_browser_paints_outlines(text, tmp_path):
    from matplotlib import image

    (tmp_path / "page.html").write_text(text)
    shot = tmp_path / "shot.png"
    browse("--window-size=1280,4000", f"--screenshot={shot}", (tmp_path / "page.html").as_uri())
    assert struct.unpack(">II", shot.read_bytes()[16:24]) == (1280, 4000)
    pixels = (image.imread(shot)[..., :3] * 255).round().astype(int)
    assert (pixels == [int(SKY[place : place + 2], 16) for place in (1, 3, 5)]).all(-1).sum() > 500
