import csv
import json

import pytest

from rembrandt_featgen.core import json_files
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import few_shot_report
from rembrandt_featgen.measures import pooled_differences
from rembrandt_featgen.reporting import few_shot_page, pooled_page, pooled_tables
from rembrandt_featgen.stages import pool_studies
from tests.evaluation import few_shot_tables
from tests.evaluation.test_pooled_studies import study_report
from tests.reporting import pages


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pooled")
    for name, shift in (("one", 0.01), ("two", 0.0), ("three", -0.01)):
        (folder / name).mkdir()
        json_files.write_json(folder / name / "report.json", study_report(shift, f"{name}.csv"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooled_differences, "_DRAWS", 300)
        pool_studies.run(
            pool_studies.Config(str(folder / "all"), tuple(str(folder / n) for n in ("one", "two", "three")))
        )
    return folder


def test_files_of_the_stage(home, capsys):
    folder = home / "all/pooled"
    report = json.loads((folder / "pooled.json").read_text())
    rows = list(csv.DictReader((folder / "pooled.csv").open()))
    assert len(rows) == len(report["pools"]) == 8 and rows[0]["word"] == "equivalent"
    assert float(rows[0]["mean"]) == report["pools"][0]["mean"]
    assert len(list(csv.DictReader((folder / "pooled_tasks.csv").open()))) == len(report["tasks"]) == 18
    assert "smote & equivalent & 3" in (folder / "pooled.tex").read_text()
    page = pages.Page((folder / "index.html").read_text())
    assert "Equivalent" in " ".join(page.words) and page.tags.count("img") == 1
    pool_studies.run(pool_studies.Config(str(home / "all"), tuple(str(home / n) for n in ("one", "two", "three"))))
    assert "Equivalent: over 3 data sets" in capsys.readouterr().out  # found done


def test_a_study_is_resumed_however_it_is_written(home, monkeypatch):
    before = (home / "all/pooled/stage.json").read_text()
    monkeypatch.chdir(home)
    pool_studies.run(pool_studies.Config("all", ("one", "two", "./three")))
    assert (home / "all/pooled/stage.json").read_text() == before
    other = home / "elsewhere"
    for name in ("one", "two", "three"):
        (other / name).mkdir(parents=True)
        json_files.write_json(other / name / "report.json", study_report(0.2, f"{name}.csv"))
    monkeypatch.chdir(other)
    with pytest.raises(InputError):
        pool_studies.run(pool_studies.Config(str(home / "all"), ("one", "two", "three")))


def test_generators_of_few_shot_studies_are_judged_together(tmp_path):
    for seed, name in enumerate(("one", "two")):
        tables, trained = few_shot_tables.made(gains={"gaussian": 0.8}, draws=8, seed=seed)
        report = few_shot_report.few_shot_report(tables, trained=trained, label=1, draws=100)
        (tmp_path / name).mkdir()
        few_shot_page.write(tmp_path / name, report, name)
        assert "few_shot_generators.csv" in (tmp_path / name / "index.html").read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooled_differences, "_DRAWS", 300)
        pool_studies.run(pool_studies.Config(str(tmp_path / "all"), (f"{tmp_path / 'one'}", f"{tmp_path / 'two'}")))
    folder = tmp_path / "all/pooled"
    rows = list(csv.DictReader((folder / "pooled_generators.csv").open()))
    assert len(rows) == 2 * 9 and {row["data_set"] for row in rows} == {"one", "two"}
    assert "tab:generators" in (folder / "pooled.tex").read_text()
    assert "Of 18 comparisons of a generator" in " ".join(pages.Page((folder / "index.html").read_text()).words)


def test_one_table_under_two_names_is_refused(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        json_files.write_json(tmp_path / name / "report.json", study_report(0.1))
        json_files.write_json(tmp_path / name / "stage.json", {"inputs": {"features_file": "abc"}})
    with pytest.raises(InputError, match="one and two are of the same table"):
        pool_studies.run(pool_studies.Config(str(tmp_path / "x"), (f"{tmp_path / 'one'}", f"{tmp_path / 'two'}")))
    assert not (tmp_path / "x").exists()


def test_a_report_with_nothing_in_it_has_a_page():
    pages.Page(pooled_page.render({}))
    assert pooled_tables.files({})["pooled.csv"].count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged .*run its command again.* --studies=two="),
        ("[]", "no report"),
        ('{"rows": [3]}', "no report"),
        ('{"cohort": [3]}', "no report"),
        (
            json.dumps({k: v for k, v in study_report(0.1, "b").items() if k != "arms"}),
            "neither 'arms' nor 'rows'",
        ),
    ],
)
def test_what_is_no_report_is_one_line_that_deletes_nothing(home, tmp_path, text, message):
    (tmp_path / "two").mkdir()
    (tmp_path / "two/report.json").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        pool_studies.run(pool_studies.Config(str(tmp_path / "x"), (str(home / "one"), str(tmp_path / "two"))))
    assert "delete" not in str(caught.value) and not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("place", "key"),
    [
        (("arms", 2), "arm"),
        (("arms", 2), "classifier"),
        (("arms", 2, "difference"), "error"),
        (("contrasts", 0, "difference"), "ci95"),
        (("contrasts", 0), "question"),
        (("against_best",), "rows"),
        (("against_best",), "largest"),
        (("against_best",), "resamples"),
        (("against_best", "rows", 0), "difference_to_none"),
        (("against_best", "rows", 0), "shots"),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "text"])
def test_a_key_that_is_missing_or_damaged_is_named(home, tmp_path, place, key, damage):
    report = json_files.plain(study_report(0.1))
    gap = dict(report["contrasts"][0]["difference"])
    row = {"shots": 3, "classifier": "ridge", "arm": "kde", "difference": gap, "difference_to_none": gap}
    report["against_best"] = {"rows": [row], "resamples": 100, "largest": [3.0, 2.0]}
    record = report
    for part in place:
        record = record[part]
    record.pop(key)
    if damage == "text" and key not in ("arm", "classifier", "question"):
        record[key] = "?"
    (tmp_path / "two").mkdir()
    (tmp_path / "two/report.json").write_text(json.dumps(report))
    with pytest.raises(InputError, match=f"two/report.json: '{key}' of a row is missing.*--studies=two="):
        pool_studies.run(pool_studies.Config(str(tmp_path / "x"), (str(home / "one"), str(tmp_path / "two"))))


@pytest.mark.parametrize("study", ["=R/hn", "hn=", "", " "])
def test_a_study_without_a_name_or_folder_is_refused(study):
    with pytest.raises(InputError, match="write DIR or NAME=DIR"):
        pool_studies.run(pool_studies.Config("x", (study,)))


def test_studies_of_one_data_set_are_refused(home):
    one = str(home / "one")
    with pytest.raises(InputError, match="twice"):
        pool_studies.run(pool_studies.Config(str(home / "x"), (one, one)))
    with pytest.raises(InputError, match="one data set, 'a'"):
        pool_studies.run(pool_studies.Config(str(home / "x"), (f"a={one}", f"a={home / 'two'}")))
