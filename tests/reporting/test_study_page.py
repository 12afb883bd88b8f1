import re
import struct

import pytest

from rembrandt_featgen.reporting import drawing, run_figures, study_figures, study_files, study_page
from tests.reporting import fake_study
from tests.reporting.pages import EVIL, Page, browse, damaged, measure, needs_browser
from tests.reporting.test_verdict_records import OF_WORDS

PNG = run_figures.forest([("a", 0.5, 0.4, 0.6)])
CONTEXT = {"title": "my_study", "date": "2024-01-02"}


@pytest.fixture(scope="module")
def text():
    report = fake_study.make({"infogan": 0.12})
    maps = {"feature_maps_HGG": drawing.Figure(PNG, "maps")}
    return study_page.render(report, {**study_figures.draw(report), **maps}, CONTEXT)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_says_verdict_rule_and_first_numbers_before_all_else(page):
    words = page.text
    order = [
        "my_study",
        "2024-01-02",
        "Helped Generation helped the pipeline that validation patients choose: AUROC per patient 0.855 with it",
    ]
    order += [
        "Said before training: With 170 test patients (HGG 108, LGG 62)",
        "The rule: AUROC per patient",
        "2 warnings",
    ]
    order += ["without generation 0.762 cnn/smote in 19 of 25 tasks", "with generation 0.855 cnn/infogan/balance in 19"]
    order += ["Their difference +0.093 [+0.033, +0.153] helped", "What was done"]
    places = [words.index(part) for part in order]
    assert places == sorted(places)


def test_sections_in_order_and_all_linked(text, page):
    names = [
        "cohort",
        "question",
        "arms",
        "calibration",
        "generators",
        "trust",
        "segmentation",
        "checklists",
        "methods",
    ]
    places = [text.index(f'<section id="{name}">') for name in names]
    assert places == sorted(places)
    assert [value[1:] for tag, key, value in page.attributes if key == "href" and value.startswith("#")] == [
        "warnings",
        *names,
    ]


def test_patients_come_before_slices_and_rows_say_what_they_count(page):
    words = page.text
    assert words.index("Per patient One prediction") < words.index("All measures, per slice")
    assert words.count("108 + 62") == 15 and words.count("2,160 + 1,240") == 15
    assert "Each row counts patients." in words and "Each row counts slices" in words


@pytest.mark.parametrize(
    "wanted",
    [
        "170",  # cohort
        "3,400",
        "TCGA-GBM and TCGA-LGG, FLAIR",
        "FG 33",
        "all slices of a patient",
        "69 + 39",
        "best pipeline 5 trainings helped 0.762 0.855 +0.093 [+0.033, +0.153] 0.003 +0.089",  # contrasts
        "19 × cnn/smote 6 × cnn/class_weights 19 × cnn/infogan/balance 6 × cnn/vae/1.0 cnn 5 trainings",
        "19 × smote 6 × class_weights 19 × infogan/balance 6 × vae/1.0",
        "Equivalent: the 90% interval of the row by itself lies within 0.05 of AUROC.",
        "none : real samples alone, with tuned regularisation",  # arms
        "0.580 [0.510, 0.650] 0.620 [0.550, 0.690] 0.008 the reference",
        "balance: 19, 1.0: 6",
        "\N{MINUS SIGN}0.005 [\N{MINUS SIGN}0.066, +0.056] 0.803 1.000 not shown",
        "Sensitivity at specificity 0.8",
        "Brier score",
        "(lower is better)",
        "Kernel distance",
        "Trained on generated, tested on real",
        "independent classifier",
        "\N{PLUS-MINUS SIGN}",
        "Memorises training features?",  # generators
        "TCGA-CS-4941: 41",
        "in 13 of 25 runs",
        "0.310",
        "labels shuffled passed",  # checks
        "planted copy is found failed",
        "the audit missed 1 of 5",
        "[0.790, 0.843]",  # segmentation
        "0.818 [0.790, 0.843] 0.857 169",
        "1.62 [1.20, 2.04] 1.10 166",
        "test, over all runs 9,000 0.210 0.792 0.700 1,200 0.951",
        "Lowest dice of a whole volume: TCGA-CS-4941 0.021, TCGA-DU-5852 0.134, TCGA-FG-5963 0.207.",
        "0.741",
        "CLAIM",  # checklists
        "TRIPOD+AI",
        "Tejani et al.",
        "Collins et al.",
        "to be filled in by the authors:",
        "Only 62 patients are LGG",  # methods
        "12,187",
        "2.15.1",
        "arms.tex",
        "contrasts.csv",
        "checklist_claim.csv",
    ],
)
def test_shows(page, wanted):
    assert wanted in page.text


def test_only_arms_whose_bounds_exclude_0_are_said_to_differ(page):
    said = re.findall(r"(\w+) 108 \+ 62 [^a-z]*? (higher|lower|not shown|the reference)", page.text)
    assert len(said) == 15
    assert {arm for arm, side in said if side == "higher"} == {"mixup", "smote", "infogan", "diffusion"}
    assert [arm for arm, side in said if side == "the reference"] == ["none"]
    assert not any(side == "lower" for _, side in said)


@pytest.mark.parametrize("word", OF_WORDS)
def test_box_has_the_word_and_its_colour(word):
    text = study_page.render(fake_study.make(**OF_WORDS[word]), {})
    assert f'class="verdict {word}"' in text
    assert f'<p class="word">{word.capitalize()}</p>' in text
    assert f".verdict.{word} " in text or word == "undecided"  # which keeps the colour of a box without a word


def test_each_classifier_is_asked_and_heads_its_arms():
    report = fake_study.make({"infogan": 0.12}, classifiers=("cnn", "ridge", "mlp"))
    figures = dict.fromkeys(("forest", "forest_ridge", "forest_mlp"), PNG)
    words = Page(study_page.render(report, figures)).text
    asked = words[words.index("The question, asked") : words.index("Arms: which")]
    assert re.findall(r"([a-z]+) 5 trainings helped", asked) == ["pipeline", "cnn", "ridge", "mlp"]
    assert "cnn 5 trainings helped 0.762 0.855 +0.093 [+0.019, +0.167]" in asked  # of three at once
    places = [words.index(f"{name}: generative") for name in ("cnn", "ridge", "mlp")]
    assert places == sorted(places)
    assert "The same of 2 other classifiers" in words and "all arms of all classifiers at once" in words


def test_rarely_chosen_pipelines_are_counted_together():
    report = fake_study.make()
    report["contrasts"][0]["with"]["chosen"] = {f"cnn/vae/{amount}": 9 - amount for amount in range(6)}
    words = Page(study_page.render(report, {})).text
    assert "9 × cnn/vae/0 8 × cnn/vae/1 7 × cnn/vae/2 3 others: 15 ×" in words


def test_a_study_without_generative_arms_has_no_word_and_no_question():
    report = fake_study.make(contrasts=[], verdict="No generative arm was tested.", verdict_word="undecided")
    text = study_page.render(report, {})
    assert 'class="verdict open"' in text and 'class="word"' not in text and 'id="question"' not in text
    words = Page(text).text
    assert "No generative arm was tested." in words
    assert "Reference, real samples alone 0.680 [0.610, 0.750] none" in words
    assert "Highest AUROC of all arms 0.762 [0.692, 0.832] smote" in words


def test_figures_have_words_and_stand_in_their_sections(text, page):
    assert page.tags.count("img") == 6
    assert all(value for tag, name, value in page.attributes if (tag, name) == ("img", "alt"))
    order = ['id="arms"', 'alt="Forest', 'alt="A strip', 'alt="Curves', 'id="calibration"', 'alt="Reliability']
    order += ['id="generators"', 'alt="maps"', 'id="trust"', 'alt="Share', 'id="segmentation"']
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_tables_have_captions_and_scopes(text, page):
    assert page.tags.count("table") == page.tags.count("caption") + 1  # the stages' times, below their heading
    heads = re.findall(r"<th\b[^>]*>", text)
    assert len(heads) > 100
    assert all("scope=" in head for head in heads)


def test_loads_nothing_and_runs_nothing(text, page):
    assert not re.search("https?://", text)
    assert "script" not in page.tags
    for tag, name, value in page.attributes:
        if name in ("src", "href") and not value.startswith(("data:", "#")):
            assert (tag, name) == ("a", "href") and re.fullmatch(r"[\w.]+", value)
    assert not re.search(r"url\(|@import", text)


def poisoned(value, word):
    """The value with every text in it replaced by `word`, but for units and kinds."""
    if isinstance(value, dict):
        return {key: poisoned(inner, word) for key, inner in value.items()}
    if isinstance(value, list):
        return [poisoned(inner, word) for inner in value]
    return word if isinstance(value, str) and value not in ("patient", "slice", *fake_study.ARMS) else value


def test_escapes_what_it_is_given():
    report = poisoned(fake_study.thin(), EVIL)
    text = study_page.render(report, study_figures.draw(report), {"title": EVIL, "links": {EVIL: EVIL}})
    assert EVIL not in text and "<script" not in text
    assert Page(text).text.count(EVIL) > 20


@pytest.mark.parametrize("change", ["missing", None, float("nan")])
def test_bears_whatever_is_missing(change):
    for path, report in damaged(fake_study.thin(), change):
        try:
            text = study_page.render(report, {})
        except Exception as error:
            raise AssertionError(f"fails without {path}") from error
        for tag in ("div", "section", "details", "table", "tbody", "tr", "td", "th", "span", "small", "p"):
            assert len(re.findall(rf"<{tag}[ >]", text)) == text.count(f"</{tag}>"), (tag, path)


def test_renders_nothing_at_all():
    words = Page(study_page.render({}, {})).text
    assert "No verdict" in words and "No arm was tested" in words and "ran no checks" in words


def test_the_page_leads_to_what_else_belongs_to_the_study(tmp_path):
    study_files.write(tmp_path, fake_study.thin(), "x", links={"the cohort": "../cohort_report/index.html"})
    links = [value for tag, name, value in Page((tmp_path / "index.html").read_text()).attributes if name == "href"]
    assert "../cohort_report/index.html" in links and "report.json" in links


def test_png_alone_gets_words():
    page = Page(study_page.render({}, {"forest": PNG, "mystery": PNG}))
    assert [value for tag, name, value in page.attributes if name == "alt"] == ["Forest plot of the arms.", "mystery"]


@needs_browser
def test_fits_phones_and_desks_and_asks_for_nothing(text, tmp_path):
    word = "w" * 90
    long_words = poisoned(fake_study.thin(), word)
    long_text = study_page.render(long_words, {"forest": PNG}, {"title": word, "links": {word: word}})
    pages = [
        (text, 360),
        (text, 768),
        (text, 1280),
        (study_page.render({}, {}), 360),
        (long_text, 360),
        (long_text, 1280),
    ]
    for found in measure(pages, tmp_path):
        assert found["scroll"] <= found["width"] and found["out"] == []
        assert found["shown"] == found["images"]
        assert found["requests"] == []


@needs_browser
@pytest.mark.parametrize(("width", "height"), [(360, 800), (1280, 900)])
def test_browser_paints_it(text, tmp_path, width, height):
    from matplotlib import image

    (tmp_path / "page.html").write_text(text)
    shot = tmp_path / "shot.png"
    browse(f"--window-size={width},{height}", f"--screenshot={shot}", (tmp_path / "page.html").as_uri())
    assert struct.unpack(">II", shot.read_bytes()[16:24]) == (width, height)
    pixels = (image.imread(shot)[..., :3] * 255).round().astype(int)
    assert (pixels == (0x00, 0x78, 0x5A)).all(-1).sum() > 500  # border of the verdict that something helped
