"""The judge of a run: trained on its training features alone, measured on those of its test patients."""

import numpy as np
import pytest

from rembrandt_featgen.cohort import patient_files
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.core import json_files, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.evaluation.run_judges import judge_of_run

SHAPE, NAMES = (3, 3, 4), ("low", "middle", "high")


def write_run(run_dir, *, test=30, patients=30, signal=1.5, seed=0):
    """Features of three classes, two slices of each patient; the class is in its channel, for test patients too."""
    random, folder = np.random.default_rng(seed), run_dir / "features"
    folder.mkdir()
    for split, count in (("train", patients), ("test", test)):
        with Writer(folder, split, {"feature": (SHAPE, "float32")}) as writer:
            for position in range(2 * count):
                patient = position // 2
                feature = np.abs(random.normal(size=SHAPE))
                feature[..., patient % 3] += signal
                writer.write({"feature": feature}, f"{split}_{patient}", slice_index=position % 2, label=patient % 3)
    record = {"config": {}, "figures": {"shape": SHAPE}, "inputs": {}, "classes": Classes.of(NAMES).record}
    json_files.write_json(folder / rundir.RECORD, record)


def test_it_is_measured_on_test_patients(tmp_path):
    write_run(tmp_path)
    judge, record = judge_of_run(tmp_path, seed=0)
    assert set(record) == {"strength", "temperature", "test", "training"}
    for part in ("test", "training"):
        assert record[part]["accuracy"] > 0.95
        assert record[part]["log_loss"] < 0.5
        assert set(record[part]["recall"]) == set(record[part]["probability"]) == set(NAMES)
    maps = np.zeros((3, *SHAPE), np.float32) + 0.8
    maps[np.arange(3), :, :, np.arange(3)] += 1.5
    assert judge(maps).argmax(1).tolist() == [0, 1, 2]


def test_test_patients_have_no_part_in_it(tmp_path):
    for name, test in (("few", 6), ("many", 60)):
        (tmp_path / name).mkdir()
        write_run(tmp_path / name, test=test)
    few, many = (judge_of_run(tmp_path / name, seed=0) for name in ("few", "many"))
    assert few.record["training"] == many.record["training"]
    assert few.record["test"] != many.record["test"]


def test_without_test_patients_nothing_is_said_of_them(tmp_path):
    write_run(tmp_path, test=0)
    assert judge_of_run(tmp_path, seed=0).record["test"] is None


def test_groups_of_the_cohort_are_kept_whole(tmp_path):
    """Features of one group are alike and say nothing of the class: who is judged by relatives is judged too well."""
    random, folder, shape = np.random.default_rng(0), tmp_path / "features", (2, 2, 40)
    folder.mkdir()
    with Writer(folder, "train", {"feature": (shape, "float32")}) as writer:
        for family in range(30):
            feature = np.abs(random.normal(size=40)) * np.ones(shape)
            for member in range(5):
                name = f"family{family}_{member}"
                writer.write({"feature": feature}, name, slice_index=0, label=family % 3)
    with Writer(folder, "test", {"feature": (shape, "float32")}):
        pass
    record = {"config": {}, "figures": {"shape": shape}, "inputs": {}, "classes": Classes.of(NAMES).record}
    json_files.write_json(folder / rundir.RECORD, record)
    alone = judge_of_run(tmp_path, seed=0).record["training"]["accuracy"]
    (tmp_path / "slices").mkdir()
    relatives = [
        Patient(f"family{family}_{member}", NAMES[family % 3], {}, tmp_path, group=f"family{family}")
        for family in range(30)
        for member in range(5)
    ]
    patient_files.write_patients(tmp_path / "slices", relatives, ())
    json_files.write_json(tmp_path / "slices" / rundir.RECORD, record)
    together = judge_of_run(tmp_path, seed=0).record["training"]["accuracy"]
    assert together < 0.55 < alone


@pytest.mark.parametrize(
    ("patients", "message"), [(3, "two classes that have two groups"), (0, "no training features")]
)
def test_too_few_patients_are_refused_in_one_line(tmp_path, patients, message):
    write_run(tmp_path, patients=patients)
    with pytest.raises(InputError, match=message):
        judge_of_run(tmp_path, seed=0)


@pytest.mark.parametrize(("signal", "warned"), [(0.0, True), (1.5, False)])
def test_an_uninformative_judge_is_warned_of(tmp_path, caplog, signal, warned):
    write_run(tmp_path, signal=signal)
    judge_of_run(tmp_path, seed=0)
    assert ("uninformative classifier" in caplog.text) == warned
