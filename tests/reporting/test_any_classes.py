"""Pages, tables and figures of a run and of a study whose classes are benign and malignant."""

import json

import matplotlib.figure
import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.interpretation.explanations import ChannelMaximum, ClassMaximum, Explanation
from rembrandt_featgen.reporting import (
    attribution_figures,
    checklist,
    paper_figures,
    paper_tables,
    run_figures,
    run_page,
    study_figures,
    study_page,
    study_tables,
    sweep_figures,
    sweep_tables,
)
from tests.reporting import fake_study
from tests.reporting.fake_sweep import SWEPT
from tests.reporting.pages import Page
from tests.reporting.test_run_page import REPORT

CLASSES = Classes.of(("benign", "malignant"))
ONES = np.ones((4, 4))
FEATURE = np.ones((2, 2, 5))


def renamed(value):
    """The value with the names of the classes changed in all keys and texts."""
    text = json.dumps(value).replace("HGG", "malignant").replace("LGG", "benign")
    return json.loads(text)


RUN = renamed({**REPORT, "sweep": SWEPT})
STUDY = renamed(fake_study.make({"infogan": 0.12}))


@pytest.fixture
def words(monkeypatch):
    """All texts of all figures that are drawn."""
    seen = []
    save = matplotlib.figure.Figure.savefig

    def read(self, *args, **kwargs):
        seen.extend(text.get_text() for text in self.findobj(matplotlib.text.Text))
        return save(self, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", read)
    return seen


def is_free_of_gliomas(text):
    return not any(name in text for name in ("HGG", "LGG", "grade", "glioma"))


def test_page_of_a_run_has_the_names_of_its_classes_and_no_rows_of_the_paper():
    assert RUN["classes"] == CLASSES.record
    text = run_page.render(RUN, {}, {"title": "nodules"})
    words = Page(text).text
    assert is_free_of_gliomas(text)
    assert "help to distinguish malignant from benign?" in words
    assert "The paper's comparison" in words
    assert "Tested on malignant + benign malignant benign total Balanced accuracy" in words
    assert "acceptance rate, malignant 0.900 acceptance rate, benign 0.800" in words
    assert "Added to malignant alone" in words and "Added to benign alone" in words
    assert words.count("11 + 7") == 4
    assert "0.4765" not in words  # the paper's rows are of other classes


def test_page_of_a_study_has_the_names_of_its_classes():
    text = study_page.render(STUDY, {}, {"title": "nodules"})
    words = Page(text).text
    assert is_free_of_gliomas(text)
    assert "Arms: which classifies benign and malignant best?" in words
    assert "Accuracy malignant Accuracy benign Accuracy total" in words
    assert "Acceptance rate, malignant" in words
    assert "Counted malignant benign total patients 108 62 170" in words


def test_tables():
    files = study_tables.files(STUDY) | sweep_tables.tables(renamed(SWEPT), CLASSES)
    files["table_3"] = paper_tables.table_3(RUN["classification"], CLASSES)
    for name, text in files.items():
        assert is_free_of_gliomas(text), name
    assert "n_malignant,n_benign,accuracy_malignant,accuracy_malignant_ci95_low" in files["arms.csv"]
    assert "acceptance_malignant" in files["generators.csv"]
    assert "added_malignant,added_benign" in files["sweep"]
    assert "synthetic_added,n_malignant,n_benign,accuracy_malignant" in files["table_3"]
    assert len(files["table_3"].splitlines()) == 1 + len(RUN["classification"])  # none of the paper's rows


def test_checklists():
    answers = [item.answer for item in (*checklist.claim(STUDY), *checklist.tripod(STUDY))]
    assert all(map(is_free_of_gliomas, answers))
    assert any("170 patients (108 malignant, 62 benign)" in answer for answer in answers)
    assert any(answer.startswith("Probability of malignant for a slice") for answer in answers)


def test_trials_of_a_sweep():
    for settings, _, _ in sweep_tables.trials(renamed(SWEPT), CLASSES).values():
        assert {"added_malignant", "added_benign"} < set(settings)


def test_figures(words):
    figures = [
        *study_figures.draw(renamed(fake_study.thin())).values(),
        *sweep_figures.draw(renamed(SWEPT), CLASSES).values(),
    ]
    examples = [Explanation("A, malignant\np(malignant) 0.83", ONES, ONES, ONES, ONES)]
    channel = ChannelMaximum(
        channel="U-Net conv5 channel 7",
        name="malignant",
        maximised=ONES,
        real=(ONES, ONES),
        synthetic=ONES,
        means=(0.5, 0.25, 0.1),
    )
    figures += [
        attribution_figures.grad_cam(examples, "augmented_cnn"),
        attribution_figures.activation_maximisation(
            [channel], [ClassMaximum("benign", [FEATURE] * 3, [1.0, 0.0, 2.0])]
        ),
        paper_figures.feature_maps(FEATURE, FEATURE, name="benign", number=10),
        paper_figures.generated_slices({"synthetic benign": (ONES[None], np.array([True]))}, "image_acgan"),
        paper_figures.sample_slices(ONES[None], ONES[None], ["benign\nA"]),
    ]
    run_figures.probability_strip({"baseline, cnn": [0.2, 0.9]}, ["benign", "malignant"], CLASSES)
    assert all(is_free_of_gliomas(figure.alt + figure.caption) for figure in figures)
    assert all(map(is_free_of_gliomas, words))
    shown = " ".join(words)
    for wanted in (
        "predicted probability of malignant",
        "Added to benign alone, per patient",
        "called benign      called malignant",
        "truly malignant (1 patient)",
        "synthetic benign",
        "more in malignant",
    ):
        assert wanted in shown


def test_study_of_three_classes():
    """Measures of each class against the others have columns, chance is a third, and no class is the positive one."""
    names = ("glioma", "meningioma", "pituitary")
    each = dict(zip(names, (0.7, 0.8, 0.9)))
    row = {
        "arm": "none",
        "kind": "none",
        "unit": "patient",
        "n": dict.fromkeys(names, 10),
        "accuracy": {**each, "total": 0.8},
        "balanced_accuracy": 0.8,
        "auroc": 0.8,
        "auroc_by_class": each,
        "auprc_by_class": each,
        "ci95": {"balanced_accuracy": [0.7, 0.9], "auroc_by_class.glioma": [0.6, 0.75]},
    }
    bins = [{"probability": 0.5, "observed": 0.5, "n": 30}]
    report = {"classes": Classes.of(names).record, "arms": [row], "reference": {"arm": "none"}}
    report["reliability"] = [{"arm": "none", "bins": bins}]
    figures = study_figures.draw(report)
    words = Page(study_page.render(report, figures, {"title": "tumours"})).text
    assert "AUROC, glioma against the others" in words
    assert "0.700 [0.600, 0.750]" in words
    assert "AUROC 0.5, balanced accuracy 0.333" in words
    header, line = study_tables.files(report)["arms.csv"].splitlines()[:2]
    cells = dict(zip(header.split(","), line.split(",")))
    assert (cells["auroc_by_class.glioma"], cells["auroc_by_class.glioma_ci95_high"]) == ("0.7", "0.75")
    assert cells["accuracy_pituitary"] == "0.9" and "sensitivity_at_specificity" not in cells
    assert "most probable class" in figures["reliability"].caption
    answers = [item.answer for item in (*checklist.claim(report), *checklist.tripod(report))]
    assert any(answer.startswith("Probability of each of pituitary, glioma, meningioma") for answer in answers)
