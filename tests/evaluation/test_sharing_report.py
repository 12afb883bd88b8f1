import dataclasses
import json

import numpy as np
import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import json_files, rundir
from rembrandt_featgen.evaluation import shared_cohort, sharing_games, sharing_report
from rembrandt_featgen.evaluation.sharing_games import Sharing
from rembrandt_featgen.features import importing
from rembrandt_featgen.features.tables import table_of_arrays
from rembrandt_featgen.generation.training_set import Samples
from rembrandt_featgen.measures import membership_inference, memorisation

CLASSES = Classes.of(("a", "b", "c"))
SHARING = Sharing(folds=3, repeats=5, games=10)


@pytest.fixture(scope="module")
def table():
    """60 patients of 1 or 2 samples, three classes, a missing value and a constant column."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    values = random.normal(size=(60, 5)).astype(np.float32) * [1, 20, 1, 1, 0] + 2.0 * labels[:, None] * [1, 0, 0, 0, 0]
    rows = np.concatenate([np.arange(60), np.arange(0, 60, 4)])
    values = values[rows] + 0.1 * random.normal(size=(75, 5)) * [1, 1, 1, 1, 0]
    values[3, 2] = np.nan
    patients = np.array([f"P{i}" for i in rows])
    return table_of_arrays(values, labels[rows], classes=CLASSES, patients=patients, signed=True)


def test_report_finds_the_copier(table):
    report = sharing_report.sharing_report(table, ("gaussian", "random_oversampling"), sharing=SHARING, draws=200)
    report = json.loads(json.dumps(json_files.plain(report)))
    gaussian, copier = report["generators"]
    assert (
        copier["word"] == "shown to leak"
        and copier["copier"]
        and not gaussian["copier"]
        and copier["memorisation"]["memorised_folds"] == 15
    )
    assert copier["attacks"]["closeness"]["auroc"] > 0.75  # a third of the patients are never drawn
    assert gaussian["memorisation"]["memorised_folds"] < 5
    assert gaussian["attacks"]["closeness"]["auroc"] < 0.7
    assert gaussian["auroc"] > 0.6 and abs(gaussian["lost"]["difference"]) < 0.15
    assert set(gaussian["memorisation"]["by_class"]) == set(gaussian["attacks"]["closeness"]["by_class"]) == {*"abc"}
    assert (
        report["verdict"].startswith("gaussian (strongest attack: AUROC 0.")
        and len(copier["memorisation"]["most_copied"]) == 10
    )


def test_folds_without_another_class_are_no_part_of_what_is_copied_across():
    one = memorisation.audit_of_classes(
        *(memorisation.Labelled(np.eye(4)[rows], np.zeros(2, int), np.array(rows)) for rows in ([0, 1], [2, 3])),
        memorisation.Labelled(np.ones((2, 4)), np.zeros(2, int)),
    )[0]
    assert np.isnan(one.share_across_1) and np.isnan(one.limit_across_1) and np.isfinite(one.share_nearer_1)
    both = sharing_report._means([one, one._replace(share_across_1=0.3, limit_across_1=0.1)])
    assert both["share_across_1"] == 0.3 and both["limit_across_1"] == 0.1
    assert json_files.plain(sharing_report._means([one]))["share_across_1"] is None


def test_who_moves_patients_into_another_class_is_a_copier(table):
    """Distances within classes do not see it."""
    report = sharing_report.sharing_report(table, ("transfer",), sharing=Sharing(folds=3, repeats=1), draws=200)
    [row] = report["generators"]
    assert row["copier"] and row["memorisation"]["share_across_1"] > 0.9 > 0.3 > row["memorisation"]["share_nearer_1"]
    aligned, within = (row["attacks"][name]["auroc"] for name in ("aligned_closeness", "closeness"))
    assert aligned > 0.65 and aligned > within + 0.07


def test_sentence_says_how_many_leak():
    row = {"kind": "generative", "lost": {"difference": 0.0, "ci95": [-0.1, 0.1]}, "word": "not shown"}
    rows = [
        {
            **row,
            "generator": name,
            "auroc": 0.6 + 0.1 * i,
            "attacks": {"closeness": {"auroc": 0.5 + 0.1 * i, "ci95": [0.46 + 0.1 * i, 0.54 + 0.1 * i]}},
        }
        for i, name in enumerate("abc")
    ]
    leaking = [{**one, "word": "shown to leak"} for one in rows]
    copies = {**leaking[0], "generator": "copies", "kind": "classical"}
    words = [
        sharing_report._sentence(each)
        for each in (leaking, [*rows[:2], leaking[2], copies], rows, leaking[:1], [rows[0], copies], leaking[1:])
    ]
    assert words[0].startswith("All 3 generators are shown to leak; a (") and "leaks least, c (" in words[0]
    assert words[1].startswith("1 of 3 generators is shown to leak; a (")
    assert words[2].startswith("None of 3 generators are shown to leak; a (")
    assert words[3].startswith("a (") and words[3].endswith(") is shown to leak.")  # alone
    assert words[4].startswith("a (") and ") is not shown to leak (copies, copies or mixtures" in words[4]
    assert words[5].startswith("Both generators are shown to leak; b (")
    assert words[1].endswith("(copies, copies or mixtures of real patients, is there for comparison).")
    assert "leaks least, c (" in words[0] and "keeps most by its estimate, which is not shown to differ" in words[0]
    far = [{**one, "lost": {"difference": 0.0, "ci95": [i, i + 0.5]}} for i, one in enumerate(rows)]
    assert sharing_report._sentence(far).endswith(") keeps most.") and "estimate" not in sharing_report._sentence(far)
    near = [{**one, "attacks": {"a": {"auroc": 0.6 + 0.01 * i, "ci95": [0.5, 0.7]}}} for i, one in enumerate(far)]
    assert ") leaks least by its estimate, c (" in sharing_report._sentence(near)


def test_degrees_of_freedom_count_groups(table, monkeypatch):
    counted, difference = [], sharing_report.differences.difference
    monkeypatch.setattr(
        sharing_report.differences,
        "difference",
        lambda values, patients: counted.append(list(patients)) or difference(values, patients),
    )
    number = np.char.lstrip(table.patients.astype(str), "P").astype(int)
    families = dataclasses.replace(table, groups=np.array([f"F{i // 2}" for i in number]))  # of two patients each
    sharing_report.sharing_report(families, ("gaussian",), sharing=Sharing(folds=2, repeats=1, games=6), draws=100)
    assert counted == [[10, 10, 10]]


def test_games_train_each_patient_in_half_and_never_divide_one(table):
    games = sharing_games.trainings(table, sharing_games.games_of(table, SHARING))
    _, members = sharing_games.attacked(table, games, _released(games, table))
    assert members.shape == (10, 60) and np.all(members.mean(axis=0) == 0.5)
    for game in games:
        assert not set(table.patients[game.train]) & set(table.patients[game.test])


def _released(games, table, copies=True):
    """What a generator gives that copies its patients, or one that knows other patients only."""
    random = np.random.default_rng(5)
    copied = [Samples(np.nan_to_num(table.values[game.train]), table.labels[game.train]) for game in games]
    if copies:
        return copied
    return [
        Samples(
            (
                random.normal(size=one.features.shape) * [1, 20, 1, 1, 0] + 2.0 * one.labels[:, None] * [1, 0, 0, 0, 0]
            ).astype(np.float32),
            one.labels,
        )
        for one in copied
    ]


@pytest.mark.parametrize("copies", [True, False])
def test_attacks_on_a_copier_and_on_a_generator_of_other_patients(table, copies):
    games = sharing_games.trainings(table, sharing_games.games_of(table, SHARING))
    scores, members = sharing_games.attacked(table, games, _released(games, table, copies))
    labels = table.labels[np.unique(table.patients, return_index=True)[1]]
    for name in sharing_games.ATTACKS:
        found = membership_inference.attack(scores[name], members, labels, draws=100)
        if copies:
            assert found.auroc > 0.9 and found.caught > 0.9, name
        else:
            assert found.auroc == pytest.approx(0.5, abs=0.08) and found.caught < 0.25, name


def test_reference_patients_are_no_members_and_not_scored(table):
    games = sharing_games.trainings(table, sharing_games.games_of(table, SHARING))[:1]
    scores, members = sharing_games.attacked(table, games, _released(games, table))
    unscored = np.isnan(scores["density_ratio"][0])
    assert unscored.sum() == 15 and not members[0, unscored].any()


@pytest.mark.parametrize("suffix", shared_cohort.SUFFIXES)
def test_shared_cohort_is_read_again(table, tmp_path, suffix):
    cohort = shared_cohort.make(table, "gaussian", Sharing(amount=2.0))
    assert cohort.patient_counts == {"a": 50, "b": 50, "c": 50} and np.isfinite(cohort.values).all()
    assert cohort.values[:, 1].std() > 10 and np.all(cohort.values[:, 4] == 0)  # in the units of the table
    assert not set(cohort.patients) & set(table.patients)
    data, provenance = shared_cohort.write(tmp_path, cohort, "gaussian", real=table, suffix=suffix, record={})
    assert data == f"synthetic_gaussian{suffix}"
    values, labels = importing.read_synthetic(tmp_path / data, table)
    np.testing.assert_allclose(values, cohort.values, rtol=1e-6)
    assert labels.tolist() == cohort.labels.tolist()
    record = json_files.read_json(tmp_path / provenance)
    assert record["versions"]["rembrandt_featgen"] and record["file"] == data
    assert record["sha256"] == rundir.file_digest(tmp_path / data)


def test_a_killed_share_leaves_what_was_shared_before(table, tmp_path, monkeypatch):
    cohort = shared_cohort.make(table, "gaussian", Sharing())
    names = [
        shared_cohort.write(tmp_path, cohort, "gaussian", real=table, suffix=one, record={})
        for one in shared_cohort.SUFFIXES
    ]
    names += [tuple(f"{name}.seen.json" for name, _ in names)]
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {name for pair in names for name in pair} and len(before) == 6  # none takes another's place

    def killed(frame, path, **_):
        path.write_text("patient,lab")
        raise KeyboardInterrupt

    monkeypatch.setattr(shared_cohort.pd.DataFrame, "to_csv", killed)
    with pytest.raises(KeyboardInterrupt):
        shared_cohort.write(tmp_path, cohort, "gaussian", real=table, suffix=".csv", record={"seed": 2})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
