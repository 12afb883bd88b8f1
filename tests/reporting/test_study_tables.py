import csv
import io
import re
import shutil
import subprocess

import pytest

from rembrandt_featgen.reporting import study_tables
from tests.reporting import fake_study
from tests.reporting.test_checklist_tables import table_study

REPORT = fake_study.make({"infogan": 0.12})


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_of_arms_is_exact_and_says_what_it_counts():
    rows = read(study_tables.arms_csv(REPORT))
    assert len(rows) == 30
    assert [row["unit"] for row in rows] == ["patient"] * 15 + ["slice"] * 15
    none = next(row for row in rows if (row["arm"], row["unit"]) == ("none", "patient"))
    own = next(row for row in REPORT["arms"] if (row["arm"], row["unit"]) == ("none", "patient"))
    assert float(none["ece"]) == own["ece"] and float(none["accuracy_total"]) == own["accuracy"]["total"]
    assert [float(none[f"auroc_ci95_{end}"]) for end in ("low", "high")] == own["ci95"]["auroc"]
    assert (none["n_HGG"], none["kind"], none["difference"], none["difference_p_adjusted"]) == ("108", "none", "", "")
    vae = next(row for row in rows if (row["arm"], row["unit"]) == ("vae", "patient"))
    own = next(row for row in REPORT["arms"] if (row["arm"], row["unit"]) == ("vae", "patient"))["difference"]
    assert (vae["difference_against"], vae["difference_measure"]) == ("none", "auroc")
    assert float(vae["difference"]) == own["difference"] == pytest.approx(0.007)
    for name in ("ci95", "ci90", "simultaneous95"):
        assert [float(vae[f"difference_{name}_{end}"]) for end in ("low", "high")] == own[name]
    for name in ("error", "p_value", "p_adjusted", "detectable", "trainings"):
        assert float(vae[f"difference_{name}"]) == own[name]


def test_csv_of_generators():
    rows = {row["arm"]: row for row in read(study_tables.generators_csv(REPORT))}
    assert list(rows) == list(fake_study.ARMS["generative"])
    own = next(entry for entry in REPORT["generators"] if entry["arm"] == "acgan")
    assert float(rows["acgan"]["coverage"]) == own["coverage"]
    assert float(rows["acgan"]["coverage_sd"]) == own["coverage_sd"]
    assert rows["vae"]["class_accuracy_own"] == ""
    assert (rows["vae"]["memorisation_memorised"], rows["vae"]["acceptance_LGG"]) == ("True", "0.71")


def test_csv_of_checklists():
    files = study_tables.files(REPORT)
    assert len(read(files["checklist_claim.csv"])) == 44
    assert len(read(files["checklist_tripod_ai.csv"])) == 52


def test_latex_of_arms():
    text = study_tables.files(REPORT)["arms.tex"]
    assert re.findall(r"\\(\w+rule)", text) == ["toprule", *["midrule"] * 3, "bottomrule"]
    assert re.findall(r"\\textit\{(.*?)\}", text) == ["No augmentation", "Classical", "Generative"]
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert len(rows) == 16
    assert {line.count(" & ") for line in rows} == {9}
    assert r"acgan\_64 & 0.711 [0.641, 0.781] & 0.549 & 0.651 [0.581, 0.721] & 0.741 & 0.561 & 0.210" in text
    assert "+0.031 [$-$0.030, +0.092] & 1.000" in text  # simultaneous bounds, t(61) at 0.05 / 14
    assert text.count(" & reference & ") == 1
    assert "170 patients" in text and r"95\%" in text


def test_latex_of_generators_has_a_column_each():
    text = study_tables.files(REPORT)["generators.tex"]
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") for line in rows} == {7}
    assert rows[-1] == r"Memorises training features & no & yes & no & no & no & no & no \\"
    assert "Right class by the generator's own discriminator & -- & -- & 0." in text


@pytest.mark.parametrize("key", [*fake_study.thin(), "everything"])
def test_bears_missing_keys(key):
    report = {} if key == "everything" else {**fake_study.thin(), key: None}
    for name, text in study_tables.files(report).items():
        assert text and "None" not in text.replace("None.", ""), name


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path):
    evil = fake_study.make(generators=[{"arm": r"a_b^c~d\e#{$%&"}])
    evil["arms"][0]["arm"] = evil["arms"][-1]["arm"] = r"\input{x} _ & % # $ { } ~ ^ < >"
    files = study_tables.files(evil)
    for name in ("arms.tex", "contrasts.tex", "generators.tex"):
        (tmp_path / name).write_text(files[name])
    body = r"\begin{document}\input{arms}\input{contrasts}\input{generators}\end{document}"
    (tmp_path / "paper.tex").write_text(r"\documentclass{article}\usepackage{booktabs,graphicx}" + body)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]


def test_rows_of_a_table_without_images_count_samples():
    rows = read(study_tables.arms_csv(table_study()))
    assert {row["unit"] for row in rows} == {"patient", "sample"}


def test_a_judge_has_rows_only_where_there_was_one():
    report = fake_study.make()
    assert "judge" not in study_tables.files(report)["generators.csv"]
    judged = {"judge_accuracy_real": 0.784, "judge_log_loss_real": 0.463, "judge_recall_real": {"HGG": 0.726}}
    report["generators"] = [{**row, **judged} for row in report["generators"]]
    files = study_tables.files(report)
    (first, *_) = csv.DictReader(io.StringIO(files["generators.csv"]))
    assert (first["judge_accuracy_real"], first["judge_log_loss_real"]) == ("0.784", "0.463")
    assert first["judge_recall_real_HGG"] == "0.726"
    assert "Accuracy of that judge on real test features" in files["generators.tex"]
