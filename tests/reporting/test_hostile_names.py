"""Every page with names, words and paths as somebody could write them who wants a reader's browser to run them."""

import csv
import io
import json

import pytest

from rembrandt_featgen.core import json_files
from rembrandt_featgen.evaluation import few_shot_report, pooled_studies
from rembrandt_featgen.measures import pooled_differences
from rembrandt_featgen.reporting import (
    cohort_page,
    cohort_text,
    external_page,
    few_shot_page,
    few_shot_tables,
    pooled_page,
    pooled_tables,
    run_page,
    sharing_page,
    sharing_tables,
    study_figures,
    study_page,
    study_tables,
)
from tests.evaluation import few_shot_tables as made
from tests.evaluation.test_pooled_studies import study_report
from tests.reporting import fake_study, test_cohort_page, test_run_page
from tests.reporting.pages import Page

HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(1)</script>{{ 7*7 }}${\\input{x}&#60;"
KEPT = ("patient", "slice", *fake_study.ARMS)  # words that pages look for
CONTEXT = {"title": HOSTILE, "links": {HOSTILE: f"javascript:{HOSTILE}"}}


def hostile(value, names):
    """The value with `HOSTILE` behind each text in it, as of a formula, also in keys that are names of classes."""
    if isinstance(value, dict):
        return {f"={key}{HOSTILE}" if key in names else key: hostile(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner, names) for inner in value]
    return f"={value}{HOSTILE}" if isinstance(value, str) and value not in KEPT else value


def of_run():
    return run_page.render(hostile(test_run_page.REPORT, ("HGG", "LGG")), {}, CONTEXT), []


def of_study():
    report = hostile(fake_study.thin(), ("HGG", "LGG"))
    return study_page.render(report, study_figures.draw(report), CONTEXT), study_tables.files(report).items()


def of_few_shot():
    tables, trained = made.made(gains={"gaussian": 0.8}, draws=6, classifiers=("ridge",))
    report = few_shot_report.few_shot_report(tables, trained=trained, label=1, reserve=made.RESERVE, draws=100)
    report = hostile(json.loads(json.dumps(json_files.plain(report))), tuple(report["classes"]["names"]))
    return few_shot_page.render(report, CONTEXT), few_shot_tables.files(report).items()


def of_cohort():
    report = hostile(test_cohort_page.make(), ("HGG", "LGG", "A", "flair"))
    pictures = {one["patient"]: [test_cohort_page.picture()] for one in report["patients"]}
    tables = [("patients.csv", cohort_text.patients_csv(report))]
    return cohort_page.render(report, pictures, CONTEXT), tables


def of_sharing():
    attack = {"auroc": 0.6, "ci95": [0.5, 0.7], "by_class": {"a": {"auroc": 0.6, "ci95": [0.5, 0.7]}}}
    one = {"generator": "gaussian", "kind": "generative", "word": "not shown", "auroc": 0.7, "ci95": [0.6, 0.8]}
    one |= {"lost": {"difference": 0.1, "ci95": [0.0, 0.2]}, "attacks": dict.fromkeys(sharing_tables.ATTACKS, attack)}
    one["memorisation"] = {"by_class": {"a": {"share_nearer_1": 0.1, "memorised_folds": 1}}, "folds": 3}
    report = {"verdict": "gaussian", "real": {"auroc": 0.8, "ci95": [0.7, 0.9]}, "generators": [one], "rule": "rule"}
    report |= {"covariates": ["age"], "settings": {"features": "x.csv"}, "warnings": ["it leaks"]}
    report = hostile(report, ("a",))
    return sharing_page.render(report, CONTEXT), sharing_tables.files(report).items()


def of_pool(tmp_path):
    for name in ("one", "two"):
        json_files.write_json(tmp_path / f"{name}.json", study_report(0.01, f"{name}.csv"))
    report = pooled_studies.pooled_report([(name, tmp_path / f"{name}.json") for name in ("one", "two")])
    report = hostile(json.loads(json.dumps(json_files.plain(report))), ("a", "b", "one", "two"))
    return pooled_page.render(report, CONTEXT), pooled_tables.files(report).items()


def of_external():
    row = {**test_run_page.row("ridge/none", "patient"), "ci95": {}}
    known = {"pipeline": "ridge/none", "strength": 0.1, "thresholds": [0.5, 0.5], "choice": {"rule": "lowest loss"}}
    known["trained_on"] = {"patients": {"HGG": 36, "LGG": 24}}
    report = {"classes": test_run_page.REPORT["classes"], "arms": [row], "model": known, "verdict": "AUROC 0.7"}
    report |= {"cohort": {"source": "/data/x.csv", "patients": {"HGG": 4, "LGG": 3}}}
    report |= {"expected_performance": {"pipeline": row}, "settings": {"test_features": "x.csv"}, "warnings": ["few"]}
    return external_page.render(hostile(report, ("HGG", "LGG", "pipeline")), CONTEXT), []


PAGES = {"run": of_run, "study": of_study, "few_shot": of_few_shot, "cohort": of_cohort, "sharing": of_sharing}
PAGES |= {"pool": of_pool, "external": of_external}


@pytest.mark.parametrize("name", PAGES)
def test_nothing_in_a_page_runs(name, tmp_path, monkeypatch):
    monkeypatch.setattr(pooled_differences, "_DRAWS", 100)
    text, tables = PAGES[name](tmp_path) if name == "pool" else PAGES[name]()
    page = Page(text)
    assert page.text.count(HOSTILE) > 4  # they were given, and are words now
    assert "<script" not in text and "script" not in page.tags and "49" not in page.text.split()
    for tag, attribute, value in page.attributes:
        assert not attribute.startswith("on"), (tag, attribute)
        assert attribute not in ("src", "style") or value.startswith(("data:", "--across", "min-width")), (tag, value)
        assert attribute != "href" or not value.lower().startswith("javascript:"), (tag, value)
    for file, table in tables:
        if file.endswith(".tex"):
            assert "\\input" not in table, file
        else:
            cells = [cell for row in csv.reader(io.StringIO(table)) for cell in row]
            assert not any(cell.startswith(("=", "@")) for cell in cells), file
    assert not tables or any("'=" in table and HOSTILE[:8].replace('"', '""') in table for _, table in tables)
