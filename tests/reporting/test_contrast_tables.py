import copy
import csv
import io

from rembrandt_featgen.reporting import contrast_tables, study_page, study_tables, table_text
from tests.reporting import fake_study
from tests.reporting.pages import Page

REPORT = fake_study.make({"infogan": 0.12}, classifiers=("cnn", "ridge", "mlp"))


def test_csv_of_contrasts_is_exact():
    rows = list(csv.DictReader(io.StringIO(contrast_tables.contrasts_csv(REPORT))))
    assert [(row["question"], row["word"]) for row in rows] == [
        (name, "helped") for name in ("best pipeline", "cnn", "ridge", "mlp")
    ]
    for row, own in zip(rows, REPORT["contrasts"]):
        for side in ("without", "with"):
            assert [float(row[f"{side}_{key}"]) for key in ("auroc", "log_loss")] == [
                own[side]["auroc"], own[side]["log_loss"]
            ]  # fmt: skip
        for name, key in (("auroc_difference", "difference"), ("log_loss_difference", "log_loss_difference")):
            assert float(row[name]) == own[key]["difference"]
            assert [float(row[f"{name}_ci95_{end}"]) for end in ("low", "high")] == own[key]["ci95"]
            assert float(row[f"{name}_detectable"]) == own[key]["detectable"]
        both = [float(row[f"auroc_difference_simultaneous95_{end}"]) for end in ("low", "high")]
        assert both == own["difference"]["simultaneous95"]
        assert [float(row[f"nadeau_bengio_ci95_{end}"]) for end in ("low", "high")] == own["nadeau_bengio"]["ci95"]
    assert rows[2]["with_chosen"] == "ridge/infogan/balance: 19; ridge/vae/1.0: 6"
    assert rows[0]["log_loss_difference_p_adjusted"] == ""


def test_table_has_the_interval_by_which_each_row_was_judged():
    table = contrast_tables.contrasts_table(REPORT)
    ((heading, rows),) = table.groups
    assert heading == "" and {len(row) for row in rows} == {len(table.header)}
    best, cnn = rows[:2]
    assert best[:5] == ["best pipeline", "helped", "0.762", "0.855", "+0.093 [+0.033, +0.153]"]
    assert cnn[4] == "+0.093 [+0.019, +0.167]"  # t(61) at 0.05 / 3
    assert best[-2:] == ["cnn/smote in 19 of 25 tasks", "cnn/infogan/balance in 19 of 25 tasks"]
    assert "within 0.05 of AUROC" in table.caption


def test_without_generation_the_tables_are_empty():
    report = fake_study.make(contrasts=[])
    assert len(contrast_tables.contrasts_csv(report).splitlines()) == 1
    assert table_text.latex(contrast_tables.contrasts_table(report)).count(r"\midrule") == 0
    assert {"contrasts.csv", "contrasts.tex"} < set(study_tables.NAMES)


def test_cells_and_columns_fit():
    for difference in (None, REPORT["contrasts"][0]["difference"]):
        assert len(contrast_tables.cells(difference)) == len(contrast_tables.columns("x"))


def test_where_all_divisions_test_the_same_patients_no_other_estimate_is_shown():
    report = copy.deepcopy(REPORT)
    for one in report["contrasts"]:
        one["nadeau_bengio"] = {"difference": 0.017, "ci95": [None, None], "divisions": 40}
    ((_, rows),) = contrast_tables.contrasts_table(report).groups
    assert {row[6] for row in rows} == {"\N{EN DASH}"}
    assert contrast_tables.contrasts_table(REPORT).groups[0][1][0][6] == "+0.089 [\N{MINUS SIGN}0.036, +0.214]"
    text = study_page.render(report, {})
    assert "+0.017" not in Page(text).text and "none: the same patients are tested each time" in text
