"""What the stage takes from sweeps; that it draws all of a run, tests/test_pipeline.py says."""

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import json_files, provenance, registry, rundir
from rembrandt_featgen.reporting import sweep_figures, sweep_tables
from rembrandt_featgen.stages import draw_figures

CLASSES = Classes.of(("LGG", "HGG"))


def test_a_run_without_sweeps_has_no_figures_of_them():
    assert draw_figures._sweep(None) == {"points": []}
    assert sweep_figures.draw({"points": []}, CLASSES) == sweep_tables.tables({"points": []}, CLASSES) == {}


def test_a_changed_sweep_is_another_input(tmp_path):
    assert "run_sweep" in registry.STAGES["draw_figures"].inputs
    (tmp_path / "sweep").mkdir()
    json_files.write_json(tmp_path / "sweep" / "sweep.json", {"points": ["p"]})
    digests = []
    for seconds in (1, 2):
        record = {"config": {}, "seconds": seconds, "inputs": {}, "versions": provenance.versions()}
        json_files.write_json(tmp_path / "sweep" / "stage.json", record)
        found = rundir.find(tmp_path, "run_sweep")
        assert draw_figures._sweep(found.folder) == {"points": ["p"]}
        digests.append(found.digest)
    assert digests[0] != digests[1]
