"""The page and tables of a few-shot study."""

import csv
import io
import json

import pytest

from rembrandt_featgen.evaluation.few_shot_report import few_shot_report
from rembrandt_featgen.reporting import few_shot_page, few_shot_tables
from tests.evaluation import few_shot_tables as made
from tests.reporting import pages


@pytest.fixture(scope="module")
def report():
    tables, trained = made.made(gains={"gaussian": 0.8}, draws=12, classifiers=("ridge",))
    return few_shot_report(tables, trained=trained, label=1, reserve=made.RESERVE, draws=100)


def test_all_files_are_written_and_linked(report, tmp_path):
    few_shot_page.write(tmp_path, report, "my study", links={"predictions": "few/predictions.csv"})
    names = {path.name for path in tmp_path.iterdir()}
    tables = {
        "few_shot.csv",
        "few_shot_contrasts.csv",
        "few_shot_generators.csv",
        "few_shot_curves.csv",
        "few_shot.tex",
    }
    assert names == {"report.json", "index.html", *tables}
    assert json.loads((tmp_path / "report.json").read_text()) == report
    text = (tmp_path / "index.html").read_text()
    assert all(f'href="{name}"' in text for name in (*(names - {"index.html"}), "few/predictions.csv"))
    assert text.count("<img ") == 1 and "<script" not in text


def test_the_page_has_every_row_and_the_verdict(report):
    page = pages.Page(few_shot_page.render(report, {"title": "my study"}))
    words = " ".join(page.words)
    assert "in 12 of 12 draws" in words and "12 tasks" not in words  # a draw has one task at each number of shots
    assert "does generation help where patients are few?" in words and report["verdict_word"].capitalize() in words
    (last,) = (row for row in report["rows"] if row["arm"] == "oracle" and row["shots"] == max(made.SHOTS))
    assert "worth" not in last and page.words.count("n/a") == 1  # it is the end of the curve by which worth is told
    assert few_shot_tables.files(report)["few_shot.tex"].count("n/a") == 2  # the cell, and the caption
    assert "Commit of the program: abc1234-dirty" in few_shot_page.render({**report, "commit": "abc1234-dirty"})
    for row in report["rows"]:
        assert f"{row['auroc']:.3f}" in words
        assert "worth" not in row or row["worth"]["text"] in words


@pytest.mark.parametrize(
    "key", ["rows", "curves", "contrasts", "margin", "cut", "draws", "patients", "classes", "verdict", "reserve"]
)
def test_any_key_may_be_missing(report, key):
    for damaged in ({k: v for k, v in report.items() if k != key}, {**report, key: None}):
        pages.Page(few_shot_page.render(damaged))
        few_shot_tables.files(damaged)


def test_the_csv_has_full_precision(report):
    rows = list(csv.DictReader(io.StringIO(few_shot_tables.rows_csv(report))))
    assert len(rows) == len(report["rows"])
    for row, of_report in zip(rows, report["rows"]):
        assert float(row["auroc"]) == of_report["auroc"] and row["arm"] == of_report["arm"]
        gap = of_report.get("difference")
        assert row["auroc_difference"] == ("" if gap is None else repr(gap["difference"]))
    curves = list(csv.DictReader(io.StringIO(few_shot_tables.curves_csv(report))))
    (curve,) = report["curves"]
    assert [float(one["auroc"]) for one in curves] == [point["auroc"] for point in curve["points"]]
    assert [one["rise"] for one in curves] == [""] * (len(curves) - 1) + [repr(curve["rise"]["difference"])]
    contrasts = list(csv.DictReader(io.StringIO(few_shot_tables.contrasts_csv(report))))
    assert [one["shots"] for one in contrasts if one["question"] == "best pipeline"] == ["2", "4", "8"]
    assert contrasts[0]["without_chosen"].startswith("ridge/smote: 12")


def test_the_latex_table_groups_by_shots(report):
    text = few_shot_tables.files(report)["few_shot.tex"]
    assert text.count("\\multicolumn") == len(made.SHOTS) and "2 patients, ridge" in text
    assert "Few patients of class case to train on, drawn 12 times" in text


def test_names_are_escaped(report):
    rows = [{**row, "arm": pages.EVIL} for row in report["rows"]]
    assert "<script" not in few_shot_page.render({**report, "rows": rows, "cut": pages.EVIL})
