import copy
import re

import pytest

from rembrandt_featgen.reporting import drawing, run_figures, run_page, study_page
from rembrandt_featgen.reporting.page import MISSING
from tests.reporting.pages import EVIL, Page, leaves, measure, needs_browser

PNG = run_figures.forest([("a", 0.5, 0.4, 0.6)])


def row(arm, unit, **changes):
    return {
        "arm": arm,
        "classifier": "cnn",
        "synthetic": 300 if arm != "baseline" else 0,
        "unit": unit,
        "n": {"HGG": 11, "LGG": 7},
        "accuracy": {"HGG": 0.8181818, "LGG": 0.571, "total": 0.722},
        "balanced_accuracy": 0.695,
        "mcc": -0.25,
        "auroc": 0.77,
        "ci95": {"balanced_accuracy": [0.4711, 0.8899], "accuracy_HGG": [0.48, 0.98], "mcc": [None, None]},
        **changes,
    }


def over(mean, median, volumes):
    """One measure over volumes."""
    return {"mean": mean, "median": median, "ci95": [mean - 0.0625, mean + 0.0625], "volumes": volumes}


VOLUMES = {
    "dice": over(0.849, 0.861, 17),
    "volume_error": over(-0.125, -0.11, 17),
    "hausdorff95_mm": over(7.25, 6.04, 15),
    "surface_distance_mm": over(1.5, 1.25, 15),
}
REPORT = {
    "classes": {"names": ["LGG", "HGG"], "positive": "HGG"},
    "cohort": {
        "patients": {"HGG": 36, "LGG": 24},
        "slices": {"HGG": 2880, "LGG": 1920},
        "split": {"test": {"patients": {"HGG": 11, "LGG": 7}, "slices": {"HGG": 880, "LGG": 560}, "empty_masks": 3}},
        "source": EVIL,
        "empty_mask_patients": 1,
        "spacing": {"real": True, "why": "not all voxels are 1 x 1 x 1 mm"},
    },
    "segmentation": {
        "test": {
            "soft_dice_loss": 0.1524,
            "hard_dice": 0.852,
            "iou": 0.766,
            "patient_hard_dice": 0.849,
            "patient_hard_dice_ci95": [0.801, 0.893],
            "volumes": VOLUMES,
            "with_tumour": {"slices": 1234, "soft_dice_loss": 0.2, "hard_dice": 0.817, "iou": 0.713},
            "without_tumour": {"slices": 206, "nothing_predicted": 0.938},
        }
    },
    "generator": {"synthetic": 600, "generated": 1768, "acceptance": {"HGG": 0.9, "LGG": 0.8}, "class_accuracy": 0.85},
    "classification": [row(arm, unit) for unit in ("slice", "patient") for arm in ("baseline", "augmented")],
    "comparison": {"measure": "balanced_accuracy", "unit": "patient", "difference": 0.03, "ci95": [-0.11, 0.18]},
    "verdict": "No evidence that it helped & more.",
    "verdict_rule": "The rule.",
    "warnings": ["Only 7 test patients.", EVIL],
    "stages": {"train_unet": {"seconds": 1234.5}},
    "versions": {"tensorflow": "2.15.1"},
    "settings": {"seed": 3, "tap": "conv5", "modalities": ["flair", "t1"], "augment": True, "dir": EVIL},
}
FIGURES = {"forest": PNG, "mystery": PNG, "overlays": drawing.Figure(PNG, EVIL, f"caption {EVIL}")}


@pytest.fixture(scope="module")
def text():
    return run_page.render(REPORT, FIGURES, {"title": f"run {EVIL}", "date": "2024-01-02"})


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_says_the_verdict_before_all_else(page):
    words = page.text
    assert words.index("No evidence that it helped & more.") < words.index("The rule.") < words.index("What was done")
    assert "2024-01-02" in words and "2 warnings" in words


def test_sections_in_order(text):
    places = [
        text.index(f'id="{name}"') for name in ("cohort", "classification", "segmentation", "generator", "methods")
    ]
    assert places == sorted(places)


def test_patient_rows_come_before_slice_rows(text, page):
    assert (
        text.index('<tbody class="patient">')
        < text.index('<tbody class="slice">')
        < text.index('<tbody class="paper">')
    )
    assert page.text.index("Per patient") < page.text.index("Per slice") < page.text.index("Paper (REMBRANDT)")
    assert page.text.count("11 + 7") == 4


@pytest.mark.parametrize(
    "wanted",
    [
        "0.818",  # classification
        "[0.480, 0.980]",
        "0.695",
        "[0.471, 0.890]",
        "\N{MINUS SIGN}0.250",
        "0.569",  # the paper's Table 3
        "0.384",
        "0.524",
        "0.4765",
        "362 + 208",
        "0.501 does",
        "7 HGG and 4 LGG",
        "0.76 (64 filters) and 0.823 (512 filters)",
        "learnt to make features of each class",
        "0.152",  # segmentation
        "paper (REMBRANDT)",
        "95% interval \N{MINUS SIGN}0.110 to +0.180",
        "1,768",
        "2,880",
        "1,234",
        "2.15.1",
        "conv5",
        "flair, t1",
        "1 patient without any tumour",
        "Dice higher is better 0.849 [0.786, 0.911] 0.861 17",  # whole volumes
        "Volume error predicted less true volume, over the true; 0 is right \N{MINUS SIGN}0.125",
        "95% Hausdorff distance, mm where both have tumour; lower is better 7.2 [7.2, 7.3] 6.0 15",
        "1.50 [1.44, 1.56] 1.25 15",
        "test 1,234 0.200 0.817 0.713 206 0.938",  # slices with and without tumour
    ],
)
def test_shows(page, wanted):
    assert wanted in page.text


@pytest.mark.parametrize("draw", [run_page.render, study_page.render])
def test_main_settings_say_what_auto_and_steps_came_to(draw):
    settings = {"normalise": "auto", "crop": "none", "image_size": 128, "unet_epochs": 30, "unet_steps": 3000}
    cohort = {"preparation": {"normalise": "volume", "crop": "none", "size": 48}}
    words = Page(draw({"settings": settings, "cohort": cohort}, {})).text
    shown = words[words.index("Main settings") :]
    assert "48 (--image_size=128) normalise volume (--normalise=auto) crop none unet_steps 3000" in shown


def test_a_generator_of_slices_is_not_said_to_make_features():
    words = Page(run_page.render({**REPORT, "generator": {**REPORT["generator"], "kind": "image_acgan"}}, {})).text
    assert "learnt to make slices of each class, whose features" in words and "generated as slices help" in words
    assert "A generated slice is accepted" in words and "learnt to make features" not in words


def of_volumes(volumes, **cohort):
    """The text of a page of those measures of the test."""
    tested = {**REPORT["segmentation"]["test"], "volumes": volumes}
    changed = {"cohort": {**REPORT["cohort"], **cohort}, "segmentation": {"train": {}, "test": tested}}
    return Page(run_page.render({**REPORT, **changed}, {})).text


def test_distances_are_left_out_where_there_are_none_and_the_page_says_why():
    without = {name: entry for name, entry in VOLUMES.items() if not name.endswith("_mm")}
    words = of_volumes(without, spacing={"real": False, "why": "all files say 1 x 1 x 1 mm"})
    assert "Volume error" in words and "Hausdorff" not in words and "Mean surface distance" not in words
    assert "No distances in mm, for the spacing of the volumes is not known: all files say 1 x 1 x 1 mm." in words
    assert "No distances in mm" not in of_volumes(VOLUMES)
    assert "No distances in mm" not in of_volumes(without)  # of a run that did not ask


def test_dice_per_patient_of_a_run_without_measures_of_volumes():
    words = of_volumes(None)
    assert "test patient 0.849 [0.801, 0.893]" in words
    assert "test patient 0.849" not in of_volumes(VOLUMES)  # the table of volumes has it


def test_a_split_without_volumes_has_no_columns():
    tested = REPORT["segmentation"]["test"]
    both = {**REPORT, "segmentation": {"train": {"volumes": {"dice": over(0.5, 0.5, 3)}}, "test": tested}}
    assert Page(run_page.render(both, {})).text.count("mean median volumes") == 2
    assert Page(run_page.render(REPORT, {})).text.count("mean median volumes") == 1


def test_loads_nothing_and_runs_nothing(text, page):
    assert not re.search("https?://", text)
    assert "script" not in page.tags
    for tag, name, value in page.attributes:
        if name in ("src", "href"):
            assert value.startswith(("data:", "#") if tag != "a" else ("#", "../", "report.json")), (tag, value)
    assert not re.search(r"url\(|@import", text)


def test_escapes_what_it_is_given(text, page):
    assert EVIL not in text
    assert page.text.count(EVIL) == 6  # title twice, source, caption, warning, setting
    assert ("img", "alt", EVIL) in page.attributes


def test_figures_stand_in_their_sections(text, page):
    assert page.tags.count("img") == 3
    assert all(value for _, name, value in page.attributes if name == "alt")
    assert text.index('id="classification"') < text.index('alt="Balanced') < text.index('id="segmentation"')
    assert text.index('id="methods"') < text.index('alt="mystery"')


def test_the_papers_figures_fold_away_behind_the_sections():
    figure = drawing.Figure(PNG, "slices of each class", "Fig. 3")
    text = run_page.render(REPORT, {"figure_03": figure, "figure_grad_cam": PNG, "feature_maps_HGG": PNG})
    generator, section, fold, methods = (
        text.index(f"<{at}")
        for at in ('section id="generator"', 'section id="figures"', "details", 'section id="methods"')
    )
    assert (
        generator < text.index('alt="Two mosaics') < section < fold < text.index('alt="slices of each class"') < methods
    )
    assert text.index("Show 2 more") > fold
    assert '<a href="#figures">' in text
    assert 'id="figures"' not in run_page.render(REPORT, FIGURES)


def test_links_given_come_after_those_of_the_stages():
    page = Page(run_page.render(REPORT, {}, {"links": {"Table 1": "tables/table_1.csv"}}))
    links = [
        value for tag, name, value in page.attributes if (tag, name) == ("a", "href") and not value.startswith("#")
    ]
    assert links == ["report.json", "../unet/stage.json", "tables/table_1.csv"]


def test_many_arms_are_all_there():
    report = {**REPORT, "classification": [row(f"arm{i}", unit) for i in range(12) for unit in ("slice", "patient")]}
    words = Page(run_page.render(report, {})).text
    assert all(words.count(f" arm{i} cnn") == 2 for i in range(12))


def test_undefined_numbers_are_dashes_that_explain_themselves():
    rows = [row("baseline", "patient", auroc=float("nan"), mcc=None, balanced_accuracy=None)]
    del rows[0]["accuracy"]["total"]
    page = Page(run_page.render({"classification": rows}, {}))
    titles = [value for tag, name, value in page.attributes if (tag, name) == ("abbr", "title")]
    assert titles.count(run_page.ONE_CLASS) == 3
    assert MISSING in titles


@pytest.mark.parametrize(
    ("word", "tone"),
    [("helped", "helped"), ("harmed", "harmed"), ("equivalent", "open"), ("undecided", "open"), (None, "open")],
)
def test_box_agrees_with_the_verdict(word, tone):
    """Whatever the paper's comparison, of one training, says."""
    comparison = {"difference": 0.2, "ci95": [0.1, 0.3]}
    assert f'class="verdict {tone}"' in run_page.render({"verdict_word": word, "comparison": comparison}, {})


def arm(name, kind, auroc):
    return {"arm": name, "kind": kind, "classifier": "ridge", "auroc": auroc, "ci95": {"auroc": [auroc - 0.0625, 0.99]}}


def test_a_study_gives_tiles_and_arms_above_the_papers_comparison():
    arms = [arm("none", "none", 0.75), arm("smote", "classical", 0.8125), arm("gaussian", "generative", 0.7812)]
    text = run_page.render({**REPORT, "arms": arms, "paper_comparison": "Of one training."}, {})
    words = Page(text).text
    assert "Highest of those that generate nothing 0.812 [0.750, 0.990] smote, ridge" in words
    assert "Highest with generation 0.781 [0.719, 0.990] gaussian, ridge" in words
    assert "smote Classical ridge 0.812 [0.750, 0.990]" in words
    assert 'href="../study/index.html"' in text
    places = [text.index(f'id="{name}"') for name in ("verdict", "arms", "classification")]
    assert places == sorted(places)
    assert words.index("smote Classical") < words.index("Of one training.") < words.index("Per patient")


def test_without_a_study_there_are_no_arms(text):
    assert 'id="arms"' not in text and 'class="tiles"' not in text and "../study/index.html" not in text


@pytest.mark.parametrize("missing", REPORT)
def test_renders_without_a_key(missing):
    report = {key: value for key, value in REPORT.items() if key != missing}
    Page(run_page.render(report, FIGURES))
    Page(run_page.render({**report, missing: None}, FIGURES))


@pytest.mark.parametrize("path", [path for path in leaves(REPORT) if len(path) > 1], ids=str)
def test_renders_without_any_inner_key(path):
    report = copy.deepcopy(REPORT)
    inner = report
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    Page(run_page.render(report, {}))


def test_renders_nothing_at_all():
    assert "No verdict" in Page(run_page.render({}, {})).text


@pytest.mark.parametrize("path", ["https://evil.example/x", "//evil.example/x", "javascript:alert(1)", "/etc/passwd"])
def test_links_stay_beside_the_page(path):
    links = [
        value for tag, name, value in Page(run_page.render({}, {}, {"links": {"x": path}})).attributes if name == "href"
    ]
    assert not re.match(r"[a-z]+:(?!,)|/", links[-1])


@needs_browser
def test_fits_a_phone_and_asks_for_nothing(text, tmp_path):
    for found in measure([(text, 360), (text, 1280)], tmp_path):
        assert found["scroll"] <= found["width"] and found["out"] == []
        assert found["shown"] == found["images"] == 3
        assert found["requests"] == []


def test_what_an_independent_judge_is_worth_stands_beside_its_acceptance():
    measured = {"accuracy": 0.784, "log_loss": 0.463, "recall": {"HGG": 0.726, "LGG": 0.843}}
    generator = {**REPORT["generator"], "kind": "acgan", "judge": {"test": measured}}
    words = Page(run_page.render({**REPORT, "generator": generator}, {})).text
    assert "accepted only if an independent classifier of real training features" in words
    assert "acceptance rate, HGG 0.900 the same of real test features, HGG 0.726" in words
    assert "accuracy of the judge on real test features 0.784" in words
    assert "log loss of the judge on real test features 0.463" in words
    without = Page(run_page.render({**REPORT, "generator": {**generator, "judge": {"test": None}}}, {})).text
    assert "independent classifier" in without and "of real test features" not in without
    by_discriminator = Page(run_page.render({**REPORT, "generator": {**generator, "judge": None}}, {})).text
    assert "judge" not in by_discriminator
