"""Which data sets have patients in common, by ids alone, and how often unrelated ones seem to."""

import numpy as np
import pytest

from rembrandt_featgen.core import json_files
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import pooled_studies, shared_patients
from rembrandt_featgen.evaluation.shared_patients import Shared
from rembrandt_featgen.measures import pooled_differences
from tests.evaluation.test_pooled_studies import study_report


def _ids(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "predictions.csv").write_text("arm,patient,p_a\n" + "".join(f"none,{name},0.5\n" for name in names))
    return shared_patients.ids_of(folder / "report.json")


def test_ids_are_found_however_they_are_spelt(tmp_path):
    one = _ids(tmp_path / "one", "TCGA-CS-4941", "TCGA-CS-4942", "TCGA-CS-4942", "TCGA-HT-7602")
    (tmp_path / "one" / "predictions_5.csv").write_text('patient,arm\n"TCGA-CS-9999",none\n')  # as of a few-shot study
    one = shared_patients.ids_of(tmp_path / "one" / "report.json")
    other = _ids(tmp_path / "two", "tcga_cs_4941_19960909", "TCGA_CS_4942_19970222", "TCGA-CS-9999-01")
    assert len(one) == 4
    assert shared_patients.shared(one, other) == Shared(3, 0)
    assert shared_patients.ids_of(tmp_path / "three" / "report.json") == frozenset()


def test_a_damaged_table_is_said(tmp_path):
    (tmp_path / "predictions.csv").write_text("arm,p\nnone,0\n")
    with pytest.raises(InputError, match=r"predictions\.csv: no table of predictions"):
        shared_patients.ids_of(tmp_path / "report.json")


def _counter(stem, number, random):
    return {f"{stem}{index + 1}" for index in range(number)}


def _counter_with_gaps(stem, number, random):
    return {f"{stem}{index}" for index in random.permutation(number * 5 // 4)[:number]}


def _by_site(stem, number, random):
    sites = random.choice([1000, 1000, 1000, 2000, 3000], number)
    return {f"{stem}{number}" for number in sites + random.integers(1, 80, number)}


def _tens(stem, number, random):
    return {f"{stem}{10 * index}" for index in range(1, number)}


def _two_parts(stem, number, random):
    return {f"{stem}{site}_{index}" for site, index in random.integers(1, [6, 60], (number, 2))}


def _records(stem, number, random):
    return {f"{stem}{index}" for index in random.integers(10**5, 10**6, number)}


@pytest.mark.parametrize("stem", ["", "patient_", "sub_", "gbm"])
@pytest.mark.parametrize("make", [_counter, _counter_with_gaps, _by_site, _tens, _two_parts, _records])
def test_unrelated_cohorts_are_never_said_to_share_patients_for_sure(make, stem):
    random = np.random.default_rng(1)
    sizes = random.integers(40, 300, (40, 2))
    found = [shared_patients.shared(*(make(stem, size, random) for size in pair)) for pair in sizes]
    assert sum(one.sure > 0 for one in found) == 0
    perhaps = sum(one.perhaps > 0 for one in found)
    assert perhaps <= 6 if make is _records else perhaps == 40  # 3% of pairs of such records: see README.md


def _some_of_a_thousand(stem, number, random):
    return {f"{stem}{index}" for index in random.permutation(1000)[:number]}


@pytest.mark.parametrize("make", [_records, _some_of_a_thousand])
def test_common_numbers_that_chance_does_not_explain_are_sure(make):
    random = np.random.default_rng(2)
    one = make("patient_", 300, random)
    other = {*random.choice(sorted(one), 35, replace=False), *make("patient_", 30, random)}
    assert shared_patients.shared(one, other).sure >= 35


def test_counters_of_one_cohort_are_perhaps_the_same_and_words_of_its_own_are_sure():
    assert shared_patients.shared({"1", "2", "007"}, {"1", "2", "007", "8"}) == Shared(0, 3)
    assert shared_patients.shared({"ucsf_pdgm_0004", "9"}, {"ucsf_pdgm_0004"}) == Shared(1, 0)
    assert shared_patients.shared({"1234567890"}, {"1234567890"}) == Shared(1, 0)
    assert shared_patients.shared({"anna", "a"}, {"anna", "b"}) == Shared(1, 0)
    assert shared_patients.shared({"001"}, {"1"}) == Shared(0, 0)  # two spellings are two ids, as in a cohort


def test_a_pool_says_who_is_shared_in_its_log_and_its_warnings(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(pooled_differences, "_DRAWS", 300)
    monkeypatch.setattr(pooled_differences, "_WARMUP", 60)
    ids = {"one": ["TCGA-02-0006", "TCGA-02-0009", "7"], "two": ["TCGA-02-0006", "sub-7"], "three": ["7"], "four": []}
    for name, patients in ids.items():
        _ids(tmp_path / name, *patients)
        json_files.write_json(tmp_path / name / "report.json", study_report(0.01, f"{name}.csv"))
    (tmp_path / "four" / "predictions.csv").unlink()
    warnings = pooled_studies.pooled_report([(name, tmp_path / name / "report.json") for name in ids])["warnings"]
    expected = ("so that intervals are too narrow: one and two 1 patient.", "perhaps share", "patients of four are")
    for line, words in zip(warnings[:3], expected, strict=True):
        assert words in line and line in caplog.text and "0006" not in line
    assert "as unrelated ones may have, too: one and three 1 patient." in warnings[1]
