"""Generators against the best without one."""

import numpy as np
import pytest

from rembrandt_featgen.evaluation import few_shot_generators, few_shot_report
from rembrandt_featgen.evaluation.contrasts import BEST
from rembrandt_featgen.evaluation.few_shot_generators import Generated
from rembrandt_featgen.evaluation.few_shot_scores import Cohort
from rembrandt_featgen.measures.differences import Difference
from tests.evaluation import few_shot_tables


def _generators(**settings):
    tables, trained = few_shot_tables.made(draws=12, **settings)
    return few_shot_report.few_shot_report(tables, trained=trained, label=1, draws=200)["against_best"]


def test_the_rival_is_what_the_inner_folds_choose():
    """Inner folds choose SMOTE: where it is as good as the generator, real samples alone are no rival."""
    alone, rivalled = _generators(gains={"gaussian": 0.8}), _generators(gains={"gaussian": 0.8, "smote": 0.8})
    assert {row["word"] for row in alone["rows"] if row["shots"] == 2} == {"helped"}
    assert {row["word"] for row in rivalled["rows"]} == {"equivalent"}
    keys = [(row["shots"], row["classifier"], row["arm"]) for row in alone["rows"]]
    assert set(keys) == {
        (shots, *of) for shots in (2, 4, 8) for of in ((BEST, ""), ("ridge", "gaussian"), ("mlp@10", "gaussian"))
    }
    assert len(keys) == 9 and alone["resamples"] == 200 and len(alone["largest"]) == 20


def test_what_inner_folds_choose_is_scored_once(monkeypatch):
    scored, scores = [], Cohort.scores
    monkeypatch.setattr(
        Cohort, "scores", lambda self, table: scored.append(table.probabilities.tobytes()) or scores(self, table)
    )
    tables, trained = few_shot_tables.made(draws=6)
    few_shot_report.few_shot_report(tables, trained=trained, label=1, draws=50)
    # of each shots: 2 classifiers of 4 arms, and what is chosen of each and of both, without, with and real alone
    assert len(scored) == 3 * (2 * 4 + 3 * 3)


def test_a_rival_may_have_any_strength():
    """Beside a classifier of a poor strength stands a better one of the same kind."""
    tables, trained = few_shot_tables.made(draws=12, gains={"gaussian": 0.5}, classifiers=("mlp", "mlp@0.1"))
    for shots, table in tables.items():
        better = table.classifier == "mlp"
        p = np.where(better[:, None], np.eye(2)[table.label] * 0.9 + 0.05, table.probabilities)
        loss = np.where(better, 0.1, table.validation_loss)
        tables[shots] = table.replace(probabilities=p, validation_loss=loss)
    found = few_shot_report.few_shot_report(tables, trained=trained, label=1, draws=100)
    of_weak = [row for row in found["against_best"]["rows"] if row["classifier"] == "mlp@0.1"]
    against_none = [row for row in found["rows"] if (row["classifier"], row["arm"]) == ("mlp@0.1", "gaussian")]
    assert against_none[0]["difference"]["difference"] > 0.05 and against_none[0]["shots"] == of_weak[0]["shots"] == 2
    assert of_weak[0]["difference"]["difference"] < -0.02


def test_bounds_of_several_studies_hold_at_once():
    """Of four studies of ten differences that are 0, together, one in twenty has any whose bounds exclude it."""
    random = np.random.default_rng(3)
    beyond_alone, beyond = 0, 0
    for _ in range(300):
        rows, families, by_itself = [], [], False
        for number in range(4):
            drawn = (random.normal(size=(1001, 1)) + random.normal(size=(1001, 10))) / np.sqrt(2)
            gaps = [Difference(value, 1.0, 1e9, 60) for value in drawn[0].tolist()]
            rows += [
                Generated(str(number), 3, "ridge", arm=str(i), found=gap, to_none=gap) for i, gap in enumerate(gaps)
            ]
            largest = np.sort(np.abs(drawn[1:]).max(axis=1))[::-1]
            families.append({"resamples": 1000, "largest": largest[:100].tolist()})
            by_itself |= bool(np.abs(drawn[0]).max() > few_shot_generators.quantile_of(families[-1:]))
        quantile = few_shot_generators.quantile_of(families)
        beyond += any(abs(row.found.value) > quantile for row in rows)
        beyond_alone += by_itself
    assert 300 * 0.015 < beyond < 300 * 0.09
    assert beyond_alone > 300 * 0.12


def test_what_is_there_is_found_and_named():
    above, below = Difference(0.2, 0.02, 50.0, 60), Difference(-0.2, 0.02, 50.0, 60)
    same = Difference(0.001, 0.005, 50.0, 60)
    rows = [
        Generated("one", 3, "ridge", "gaussian", found=above, to_none=above),
        Generated("two", 3, "ridge", "gaussian", found=below, to_none=below),
        Generated("two", 5, "ridge", "gaussian", found=same, to_none=same),
        Generated("two", 5, "ridge", "flow", found=above, to_none=same),  # its rival was badly chosen
    ]
    families = [{"resamples": 1000, "largest": np.linspace(3, 2, 100).tolist()}] * 2
    found = few_shot_generators.together(rows, families)
    assert [row["word"] for row in found["rows"]] == ["helped", "harmed", "equivalent", "undecided"]
    assert found["words"] == {"helped": 1, "harmed": 1, "equivalent": 1, "undecided": 1}
    # each of two studies is inside with the root of 95%
    assert found["quantile"] == pytest.approx(3 - (1 - np.sqrt(0.95)) * 10, abs=0.02)
    wide = found["rows"][0]["difference"]
    assert wide["simultaneous95"][0] < wide["ci95"][0] and wide["detectable"] > 0.05
