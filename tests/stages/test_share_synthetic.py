import csv
import json

import numpy as np
import pandas as pd
import pytest

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.reporting import sharing_page, sharing_tables
from rembrandt_featgen.stages import share_synthetic
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
    assert "leaks" in page.words and "synthetic.parquet" in page.words
    assert len(pd.read_parquet(folder / "synthetic.parquet")) == 40
    provenance = (folder / "synthetic.json").read_text()
    assert "real_" not in provenance and str(share_synthetic.Path(config.features).parent) not in provenance
    assert json.loads(provenance)["judged"]["generator"] == "gaussian"


@pytest.mark.parametrize("word", ["leaks", "not shown"])
def test_sharing_what_leaks_is_warned_of(config, tmp_path, caplog, capsys, monkeypatch, word):
    monkeypatch.setattr(share_synthetic.sharing_report, "_word", lambda *_: word)
    changed = share_synthetic.dataclasses.replace(config, run_dir=str(tmp_path / "run"), generators=("gaussian",))
    for _ in range(2):  # made, and found done
        share_synthetic.run(changed)
        assert ("warning: --share=gaussian leaks" in capsys.readouterr().out) == (word == "leaks")
    assert ("--share=gaussian leaks" in caplog.text) == (word == "leaks")


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
