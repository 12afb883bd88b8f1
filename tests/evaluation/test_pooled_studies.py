import json

import pytest

from rembrandt_featgen.core import json_files
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import contrasts, pooled_studies, pooled_tasks
from rembrandt_featgen.measures import pooled_differences
from rembrandt_featgen.measures.differences import Difference


def record(value, *, error=0.01, degrees=12.0, trainings=5):
    return contrasts.difference_record(Difference(value, error, degrees, trainings))


def study_report(shift, source="a.csv"):
    """As evaluate_features writes it."""
    arms = [
        {"arm": arm, "kind": kind, "classifier": name, "unit": unit, "difference": record(shift) if gap else None}
        for name in ("ridge", "mlp")
        for arm, kind, gap in (("none", "none", False), ("smote", "classical", True), ("gaussian", "generative", True))
        for unit in ("patient", "slice")
    ]
    of_best = {"question": contrasts.BEST, "difference": record(shift)}
    of_ridge = {"question": "ridge", "difference": record(shift)}
    return {
        "arms": arms,
        "contrasts": [of_best, of_ridge],
        "generators": [{"arm": "gaussian"}],
        "cohort": {"source": source, "patients": {"a": 30, "b": 20}},
        "cross_validation": {"plan": "k-fold"},
        "verdict_word": "undecided",
    }


def few_shot(shift):
    """As a few-shot study writes it."""
    rows = [
        {"arm": arm, "kind": kind, "classifier": "ridge", "shots": shots, "difference": gap}
        for shots in (3, 5)
        for arm, kind, gap in (("none", "none", None), ("gaussian", "generative", record(shift)))
    ]
    return {"rows": rows, "contrasts": [], "patients": {"a": 30, "b": 20}}


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch):
    monkeypatch.setattr(pooled_differences, "_DRAWS", 300)
    monkeypatch.setattr(pooled_differences, "_WARMUP", 60)


@pytest.fixture()
def folders(tmp_path):
    made = {
        "one/study": study_report(0.1),
        "two/report": study_report(0.12, "b.csv"),
        "three": study_report(0.11, "c.csv"),
        "four/study": few_shot(0.1),
    }
    for name, report in made.items():
        (tmp_path / name).mkdir(parents=True)
        json_files.write_json(tmp_path / name / "report.json", report)
    return tmp_path


def test_reports_are_found_and_pooled(folders):
    studies = [pooled_tasks.find(f"{folders / name}") for name in ("one", "two", "three")]
    studies.append(pooled_tasks.find(f"three={folders / 'four'}"))
    assert [name for name, _ in studies] == ["one", "two", "three", "three"]
    report = json.loads(json.dumps(json_files.plain(pooled_studies.pooled_report(studies))))
    pools = {(one["of"], one["arm"], one["classifier"], one["shots"]): one for one in report["pools"]}
    assert set(pools) == {
        ("contrast", "", "best pipeline", ""),
        ("contrast", "", "ridge", ""),
        ("arm", "smote", "", ""),
        ("arm", "gaussian", "", ""),
        *(("cell", arm, name, "all") for arm in ("smote", "gaussian") for name in ("ridge", "mlp")),
    }  # shots 3 and 5 are of one data set alone
    assert any("number of shots 3 (three)" in line for line in report["warnings"])
    best, gaussian = pools["contrast", "", "best pipeline", ""], pools["arm", "gaussian", "", ""]
    assert best["data_sets"] == 3 and best["word"] == report["verdict_word"] == "helped"
    assert best["mean"] == pytest.approx(0.11, abs=0.005)
    assert report["verdict"].startswith("Helped: over 3 data sets")
    assert "(which rests on the prior, as 3 data sets say little" in report["verdict"]
    assert (gaussian["data_sets"], gaussian["tasks"], gaussian["kind"]) == (3, 8, "generative")
    assert gaussian["simultaneous95"][0] < gaussian["ci95"][0]
    assert pools["cell", "smote", "ridge", "all"]["word"] == ""
    assert {task["shots"] for task in report["tasks"]} == {"all", "3", "5"}
    assert report["tasks"][0]["degrees"] == pytest.approx(12.0, rel=1e-4)  # read from the interval


def test_studies_of_the_same_file_are_named(folders, monkeypatch):
    json_files.write_json(folders / "three/report.json", study_report(0.1, "b.csv"))
    studies = [pooled_tasks.find(str(folders / name)) for name in ("one", "two", "three")]
    monkeypatch.setattr(pooled_studies, "pools_of", lambda *_, **__: [])
    warnings = pooled_studies.pooled_report(studies)["warnings"]
    assert any("three, two are all made of b.csv" in line for line in warnings)
    assert any("rests on the prior" in line for line in warnings)


def test_degrees_of_large_and_of_no_errors():
    for error, degrees in ((0.01, 3.0), (0.01, 1e9), (0.0, 5.0)):
        [task] = pooled_tasks.tasks_of(
            "a", {"contrasts": [{"question": "ridge", "difference": record(0.1, error=error, degrees=degrees)}]}, None
        )
        assert task.found.interval() == pytest.approx(Difference(0.1, error, degrees, 5).interval(), abs=1e-5)


def test_the_report_of_a_study_is_read_and_which_is_asked(folders):
    one = folders / "one"
    (one / "cohort_report").mkdir()
    json_files.write_json(one / "cohort_report/report.json", {})
    assert pooled_tasks.find(str(one)) == ("one", one / "study/report.json")
    (one / "fewshot").mkdir()
    json_files.write_json(one / "fewshot/report.json", few_shot(0.1))
    with pytest.raises(InputError, match="in each of fewshot, study; which.*--studies=one=.*fewshot"):
        pooled_tasks.find(str(one))
    assert pooled_tasks.find(f"one={one / 'study'}") == ("one", one / "study/report.json")


def test_classifiers_of_a_fixed_strength_have_no_part_in_the_pool_of_an_arm(folders):
    tasks = [
        pooled_tasks.Task(name, False, "kde", kind="generative", classifier=at, shots="all", found=found)
        for name in ("one", "two", "three")
        for at, found in (("mlp", Difference(0.1, 0.01, 12.0, 5)), ("mlp@0.001", Difference(-0.3, 0.01, 12.0, 5)))
    ]
    pools = pooled_studies.pools_of(tasks, margin=0.05, seed=0)
    assert [(one["of"], one["classifier"]) for one in pools] == [("arm", ""), ("cell", "mlp"), ("cell", "mlp@0.001")]
    assert (pools[0]["tasks"], pools[0]["word"]) == (3, "helped")
    assert pools[2]["mean"] == pytest.approx(-0.3, abs=0.02)


def test_the_chance_of_a_generator_trained_once_is_that_between_divisions():
    """By hand: half of (0.02, 0.10) by the quantile 2.776 of a t distribution of 4 degrees of freedom."""
    one = {
        "question": "cnn",
        "difference": record(0.2),
        "nadeau_bengio": {"difference": 0.06, "ci95": [0.02, 0.10], "divisions": 5},
    }
    [task] = pooled_tasks.tasks_of("a", {"contrasts": [{**one, "generator_once": True}]}, None)
    assert task.found == pytest.approx((0.06, 0.04 / 2.77645, 4.0, 5), abs=1e-5)
    [task] = pooled_tasks.tasks_of("a", {"contrasts": [{**one, "generator_once": False}]}, None)
    assert task.found.value == 0.2
    unknown = {**one, "generator_once": True, "nadeau_bengio": {"difference": 0.1, "ci95": [None] * 2, "divisions": 1}}
    with pytest.raises(InputError, match="no difference of AUROC"):
        pooled_tasks.tasks_of("a", {"contrasts": [unknown]}, "report.json")


def test_errors_say_what_to_do(folders):
    with pytest.raises(InputError, match="--studies=.*no report.json.*fewshot"):
        pooled_tasks.find(str(folders / "nowhere"))
    with pytest.raises(InputError, match="no difference of AUROC"):
        pooled_tasks.tasks_of("a", {"arms": [{"arm": "none", "kind": "none"}]}, folders)


@pytest.mark.parametrize(
    "difference",
    [
        {"difference": [0.1, 0.2]},
        {"error": [0.1, 0.2]},
        {"ci95": 0.1},
        {"ci95": [0.1, 0.2, 0.3]},
        {"difference": 10**400},
        {"difference": "0.1"},
    ],
)
def test_numbers_that_are_none_are_named_with_their_key(difference):
    (key,) = difference
    one = {"question": "cnn", "difference": {**record(0.2), **difference}}
    with pytest.raises(InputError, match=f"{key!r} of a row is missing or damaged"):
        pooled_tasks.tasks_of("a", {"contrasts": [one]}, "report.json")
