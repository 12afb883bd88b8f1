"""The report of a cohort, from files to the page."""

import csv
import json

import pytest

from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import cohort_survey
from rembrandt_featgen.stages import pipeline, report_cohort
from tests.reporting.pages import Page


@pytest.fixture
def cohort(tmp_path):
    return phantom.write_phantom(tmp_path / "cohort", {"LGG": 3, "HGG": 3}, size=32, slices=4)


def run(tmp_path, cohort, **changes):
    report_cohort.run(report_cohort.Config(str(tmp_path / "run"), str(cohort), **changes))
    folder = tmp_path / "run" / "cohort_report"
    return folder, json.loads((folder / "stage.json").read_text())["figures"]


def test_page_text_and_table_are_written(tmp_path, cohort):
    folder, figures = run(tmp_path, cohort)
    assert sorted(path.name for path in folder.iterdir()) == [
        "cohort.txt",
        "flags.txt",
        "index.html",
        "patients.csv",
        "report.json",
        "stage.json",
    ]
    assert figures["problems"] == []
    assert any("few patients, 3 of class HGG, 3 of class LGG" in line for line in figures["findings"])
    words = Page((folder / "index.html").read_text()).text
    assert "6 patients (HGG: 3, LGG: 3)" in words and "HGG (3)" in words
    assert "6 patients (HGG: 3, LGG: 3)" in (folder / "cohort.txt").read_text()
    with (folder / "patients.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (
        len(rows) == 6 and {row["slices"] for row in rows} == {"4"} and all(int(row["tumour_voxels"]) for row in rows)
    )


def test_one_bad_file_is_listed_and_the_stage_stops_after_the_page(tmp_path, cohort, monkeypatch):
    bad = sorted(cohort.rglob("*_flair.nii*"))[2]
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    page = tmp_path / "run" / "cohort_report" / "index.html"
    with pytest.raises(InputError, match=f"{bad.name}.*{page} lists all") as caught:
        run(tmp_path, cohort)
    assert len(str(caught.value).splitlines()) == 1
    words = Page(page.read_text()).text
    assert "Cannot be used: 1 patient" in words and bad.name in words
    assert words.count("slice ") >= 5  # the pictures of the others
    with monkeypatch.context() as patch:  # the same files again: refused without reading them
        patch.delattr(cohort_survey, "survey_cohort")
        with pytest.raises(InputError, match=bad.name):
            run(tmp_path, cohort)
    bad.write_bytes(whole)
    assert run(tmp_path, cohort)[1]["problems"] == []


def test_what_is_done_is_taken_again_until_a_label_changes(tmp_path, cohort, monkeypatch):
    run(tmp_path, cohort)
    monkeypatch.delattr(cohort_survey, "survey_cohort")
    run(tmp_path, cohort)
    (patient,) = list((cohort / "LGG").iterdir())[:1]
    patient.rename(cohort / "HGG" / patient.name)
    with pytest.raises(AttributeError, match="survey_cohort"):
        run(tmp_path, cohort)


def test_a_killed_survey_resumes(tmp_path, cohort, monkeypatch):
    survey, read = cohort_survey.survey, []

    def killed(one, request):
        if len(read) == 4:
            raise KeyboardInterrupt
        read.append(one.id)
        return survey(one, request)

    monkeypatch.setattr(cohort_survey, "survey", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, cohort)
    again = []
    monkeypatch.setattr(cohort_survey, "survey", lambda one, request: again.append(one.id) or survey(one, request))
    run(tmp_path, cohort)
    assert len(again) == 2 and not set(again) & set(read)


def test_the_flag_leaves_it_out_of_a_run():
    assert pipeline.stages_of(pipeline.Config(run_dir="x"))[:3] == ["make_phantom", "report_cohort", "prepare_slices"]
    assert "report_cohort" not in pipeline.stages_of(pipeline.Config(run_dir="x", cohort_report=False))


def test_other_flags_are_looked_at_anew(tmp_path, cohort):
    """Whoever sees what is wrong gives another flag; nothing rests on the report, so it is made again."""
    run(tmp_path, cohort)
    folder, _ = run(tmp_path, cohort, slice_axis="coronal")
    assert json.loads((folder / "stage.json").read_text())["config"]["slice_axis"] == "coronal"


def test_what_was_left_out_is_on_the_page(tmp_path, cohort, caplog):
    """What the log says of the cohort's files is said by the page and the text, and once in the log."""
    gone = sorted(cohort.rglob("*_seg.nii*"))[0]
    gone.unlink()
    folder, figures = run(tmp_path, cohort, incomplete="leave_out")
    left_out = "--incomplete=leave_out leaves out 1 without mask"
    assert left_out in figures["findings"][0]
    words = Page((folder / "index.html").read_text()).text
    assert "leave_out leaves out 1 without mask" in words and "layout brats2017" in words
    assert left_out in (folder / "cohort.txt").read_text()
    assert caplog.text.count("leaves out 1 without mask") <= 1
    settings = json.loads((folder / "report.json").read_text())["settings"]
    assert settings["layout"] == "brats2017"
