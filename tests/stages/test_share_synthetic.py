import csv
import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features import importing
from rembrandt_featgen.reporting import sharing_page, sharing_tables
from rembrandt_featgen.stages import evaluate_features, share_synthetic
from tests.reporting import pages


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharing")
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(40, 4)), columns=list("wxyz"))
    frame.insert(0, "patient", [f"real_{i}" for i in range(40)])
    frame.insert(1, "label", np.repeat(["benign", "malignant"], 20))
    frame.to_csv(folder / "table.csv", index=False)
    return share_synthetic.Config(
        str(folder / "run"),
        features=str(folder / "table.csv"),
        generators=("gaussian", "random_oversampling"),
        cv_folds=2,
        attack_games=6,
        bootstrap_draws=100,
        share="gaussian",
    )


def test_files_of_the_stage(config, tmp_path):
    share_synthetic.run(config)
    folder = share_synthetic.Path(config.run_dir) / "shared"
    report = json.loads((folder / "sharing.json").read_text())
    rows = list(csv.DictReader((folder / "sharing.csv").open()))
    assert [(row["generator"], row["class"]) for row in rows] == [
        ("real", "all"),
        *((name, label) for name in config.generators for label in ("all", "benign", "malignant")),
    ]
    assert float(rows[1]["likelihood_ratio"]) == report["generators"][0]["attacks"]["likelihood_ratio"]["auroc"]
    assert "random\\_oversampling" in (folder / "sharing.tex").read_text()
    page = pages.Page((folder / "index.html").read_text())
    assert "shown to leak" in page.words and "synthetic_gaussian.parquet" in page.words
    assert len(pd.read_parquet(folder / "synthetic_gaussian.parquet")) == 40
    assert (folder / "synthetic_gaussian.parquet.seen.json").exists() and ".seen.json" not in page.words
    provenance = (folder / "synthetic_gaussian.parquet.json").read_text()
    assert "real_" not in provenance and str(share_synthetic.Path(config.features).parent) not in provenance
    assert "pseudonym_key" not in provenance
    assert json.loads(provenance)["judged"]["generator"] == "gaussian"


def test_deterministic_is_there_before_anything_is_trained(config, tmp_path, monkeypatch):
    class Trained(Exception):
        pass

    def drawn(*_, **__):
        raise Trained

    done = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: done.append(True))
    monkeypatch.setattr(share_synthetic.sharing_report.sharing_games, "drawn", drawn)
    for flag in (False, True):
        changed = share_synthetic.dataclasses.replace(config, run_dir=str(tmp_path / f"{flag}"), deterministic=flag)
        with pytest.raises(Trained):
            share_synthetic.run(changed)
        assert done == [True] * flag


@pytest.mark.parametrize("word", ["shown to leak", "not shown"])
def test_sharing_what_leaks_is_warned_of(config, tmp_path, caplog, capsys, monkeypatch, word):
    monkeypatch.setattr(share_synthetic.sharing_report, "_word", lambda *_, **__: word)
    changed = share_synthetic.dataclasses.replace(
        config, run_dir=str(tmp_path / "run"), generators=("gaussian", "gaussian"), covariates=("z",)
    )
    for _ in range(2):  # made, and found done
        share_synthetic.run(changed)
        out = capsys.readouterr().out
        assert "gaussian (strongest attack" in out and "covariates (z) are no part" in out
        assert "--share=gaussian is shown to leak" not in out  # once a run, where warnings are
    assert caplog.text.count("--share=gaussian is shown to leak") == 2 * (word == "shown to leak")
    report = json.loads((tmp_path / "run" / "shared" / "sharing.json").read_text())
    assert [one["generator"] for one in report["generators"]] == ["gaussian"]
    assert report["settings"]["share"] == "gaussian"
    frame = pd.read_parquet(tmp_path / "run" / "shared" / "synthetic_gaussian.parquet")
    assert {"w", "x", "y"} < set(frame.columns) and "z" not in frame.columns


def test_a_finished_judgement_shares_any_generator_but_a_copier(config, tmp_path, monkeypatch):
    changed = share_synthetic.dataclasses.replace(
        config, run_dir=str(tmp_path / "run"), generators=("transfer", "kde"), share="transfer", share_format="csv"
    )
    with pytest.raises(InputError, match="--share=transfer: it gives back real patients.*of 10 folds"):
        share_synthetic.run(changed)
    folder = tmp_path / "run" / "shared"
    assert (folder / "sharing.json").exists() and not list(folder.glob("synthetic_*"))
    monkeypatch.setattr(share_synthetic, "_judge", None)
    share_synthetic.run(share_synthetic.dataclasses.replace(changed, share="kde"))
    assert len(pd.read_csv(folder / "synthetic_kde.csv")) == 40
    assert "synthetic_kde.csv" in pages.Page((folder / "index.html").read_text()).words


@pytest.fixture(scope="module")
def cohort(config, tmp_path_factory):
    """Writes a cohort of patients 0 to 29, and returns its path and the table of all."""
    folder, frame = tmp_path_factory.mktemp("cohort"), pd.read_csv(config.features)
    frame = frame.iloc[np.random.default_rng(0).permutation(len(frame))]
    frame["split"] = ["train"] * 30 + ["validation"] * 4 + ["test"] * 6
    shared_cohort, path = share_synthetic.shared_cohort, folder / "real.csv"
    frame[:30].drop(columns="split").to_csv(path, index=False)
    real = importing.read_table(path)
    made = shared_cohort.make(real, "gaussian", share_synthetic.Sharing(folds=2, repeats=1, games=6))
    record = {"judged": {}, "settings": {"share": "gaussian", "features": "real.csv"}}
    for suffix in shared_cohort.SUFFIXES:
        shared_cohort.write(folder, made, "gaussian", real=real, suffix=suffix, record=record)
    return folder, frame


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_synthetic_cohort_is_no_cohort_of_patients(cohort, tmp_path, suffix):
    path = cohort[0] / f"synthetic_gaussian{suffix}"
    with pytest.raises(InputError, match=r"is a synthetic cohort that this program made \(by gaussian from real.csv\)"):
        importing.read_table(path)
    frame = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    assert set(frame["split"]) == {"synthetic"} and list(frame["group"]) == list(frame["patient"])
    moved = tmp_path / "moved.csv"
    for changed in (frame, frame.drop(columns="split"), frame.assign(patient=range(len(frame)))):
        changed.to_csv(moved, index=False)
        with pytest.raises(InputError, match="and no real patients: give it by --synthetic"):
            importing.read_table(moved)
    renamed = cohort[0] / f"renamed{suffix}"  # its provenance lies beside it under the old name
    renamed.write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="by gaussian from real.csv"):
        importing.read_table(renamed)
    renamed.unlink()
    frame.assign(patient=range(len(frame))).drop(columns="split").to_csv(moved, index=False)
    assert len(importing.read_table(moved)) == 30  # nothing says so any more


def test_samples_made_by_patients_who_are_tested_are_refused(cohort, tmp_path, caplog):
    folder, frame = cohort
    shuffled = frame[["split", "label", "z", "y", "x", "w", "patient"]]

    def study(frame, **changes):
        path = tmp_path / "all.csv"
        frame.to_csv(path, index=False)
        flags = {"synthetic": str(folder / "synthetic_gaussian.parquet"), "plan": "split", **changes}
        config = evaluate_features.Config(str(tmp_path / "run"), features=str(path), **flags)
        return evaluate_features._of_file(config, evaluate_features._read(config))

    assert study(shuffled).warnings == ()
    tested = shuffled.assign(split=["test", "validation", *shuffled["split"][2:]])
    message = "--synthetic=.* 2 of the patients who validate or test made it: "
    with pytest.raises(InputError, match=message):
        study(tested)
    with pytest.raises(InputError, match=message):  # by their rows
        study(tested.assign(patient=[f"other_{number}" for number in range(len(tested))]))
    alone = tmp_path / "synthetic_gaussian.parquet"
    alone.write_bytes((folder / "synthetic_gaussian.parquet").read_bytes())
    [warning] = study(tested, synthetic=str(alone)).warnings
    assert "says nothing of the patients who made it" in warning and warning in caplog.text


def test_too_few_patients_are_counted(config, tmp_path):
    frame = pd.read_csv(config.features)
    small = tmp_path / "small.csv"
    frame[frame.groupby("label").cumcount() < 3].to_csv(small, index=False)
    with pytest.raises(InputError, match="class benign has 3 groups of patients, and judging takes 4"):
        share_synthetic.run(
            share_synthetic.dataclasses.replace(config, run_dir=str(tmp_path / "run"), features=str(small))
        )


def test_where_no_other_class_can_be_compared_there_is_no_share_across():
    audit = {"share_nearer_1": 0.1, "share_across_1": None, "limit_across_1": None, "memorised_folds": 0, "folds": 5}
    report = {"generators": [{"generator": "gaussian", "memorisation": {**audit, "by_class": {"a": audit}}}]}
    assert sharing_page.render(report).count(">n/a</abbr>") == 2
    assert "0.10 & n/a & 0 of 5" in sharing_tables.files(report)["sharing.tex"]
    del audit["share_across_1"]  # of a version that did not look
    assert "n/a" not in sharing_page.render({"generators": [{"generator": "gaussian", "memorisation": audit}]})


def test_a_report_with_nothing_in_it_has_a_page():
    pages.Page(sharing_page.render({}))
    assert sharing_tables.files({})["sharing.csv"].count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generators": ("gauss",)}, "--generators"),
        ({"share": "kde"}, "--share=kde is not judged"),
        ({"share": "random_oversampling"}, "--share=random_oversampling would give away real patients.*gaussian"),
        ({"attack_games": 7}, "even number"),
    ],
)
def test_errors_say_what_to_do(config, changes, words):
    with pytest.raises(InputError, match=words):
        share_synthetic.run(share_synthetic.dataclasses.replace(config, **changes))
