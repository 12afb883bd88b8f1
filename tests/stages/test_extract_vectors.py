import dataclasses
import logging
import shutil
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from rembrandt_featgen.core import json_files, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features import augmented_vectors, importing, patient_vectors, run_tables
from rembrandt_featgen.features.importing import read_table
from rembrandt_featgen.features.run_tables import table_of_run
from rembrandt_featgen.nn import weights
from rembrandt_featgen.segmentation.unet import build_unet
from rembrandt_featgen.stages import export_features, extract_features, extract_vectors

WIDTH = 2


CONFIG = {"vector_taps": ("conv1", "conv5"), "vector_batch": 4}


@pytest.fixture(scope="module")
def run_dir(prepared, tmp_path_factory):
    """A run that has slices, a U-Net and vectors."""
    folder = tmp_path_factory.mktemp("vectors") / "run"
    shutil.copytree(prepared, folder)
    (folder / "unet").mkdir()
    tf.keras.utils.set_random_seed(2)
    weights.save(build_unet(1, WIDTH).get_weights(), folder / "unet" / "best.npz")
    config = {"unet_width": WIDTH, "mirrored_inference": "left_right", "largest_component": False}
    json_files.write_json(folder / "unet" / "stage.json", {"config": config, "figures": {}, "inputs": {}})
    extract_vectors.run(extract_vectors.Config(str(folder), **CONFIG))
    return folder


def counts(run_dir):
    return json_files.read_json(run_dir / "slices" / "stage.json")["figures"]["split"]


def test_a_row_for_each_patient(run_dir):
    figures = json_files.read_json(run_dir / "vectors" / "stage.json")["figures"]
    assert sorted(path.name for path in (run_dir / "vectors").iterdir()) == [
        "flags.txt",
        "stage.json",
        "test.parquet",
        "train.parquet",
        "validation.parquet",
    ]
    for split, count in counts(run_dir).items():
        frame, table = (
            pd.read_parquet(run_dir / "vectors" / f"{split}.parquet"),
            table_of_run(run_dir, "extract_vectors", split),
        )
        assert frame.columns[:5].tolist() == ["patient", "label", "group", "split", "sample"]
        assert (set(frame["split"]), frame["patient"].is_unique) == ({split}, True)
        assert frame["label"].value_counts().to_dict() == {k: v for k, v in count["patients"].items() if v}
        assert table.names == tuple(frame.columns[5:])
        assert {"conv1_mean_0", "conv5_max_31", "shape_volume", "flair_mean", "location_row"} <= set(table.names)
        assert figures["columns"] == len(table.names)
        assert figures["patients"][split] == len(table)
        assert table.patients.tolist() == table.groups.tolist() == frame["patient"].tolist()
    assert figures["unit"] == "mm"


class Killed(BaseException):
    """Stands for SIGKILL."""


def killed_after(count, make, given, also):
    for number, one in enumerate(make(*given, **also)):
        if number == count:
            raise Killed
        yield one


def test_killed_it_resumes_after_the_last_patient(run_dir, tmp_path, monkeypatch, caplog):
    shutil.copytree(run_dir, tmp_path / "run", ignore=shutil.ignore_patterns("vectors"))
    config = extract_vectors.Config(str(tmp_path / "run"), **CONFIG)
    make, made = patient_vectors.patient_vectors, []

    def some(*arguments, **keywords):
        for one in make(*arguments, **keywords):
            if len(made) == 3:
                raise Killed
            made.append(one.patient)
            yield one

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(patient_vectors, "patient_vectors", some)
        extract_vectors.run(config)
    journal = tmp_path / "run" / "vectors.part" / "train.jsonl"
    assert len(journal.read_text().splitlines()) == 3
    journal.write_text(journal.read_text()[:-40])  # the third line was not whole
    with caplog.at_level(logging.INFO, logger="absl"):
        extract_vectors.run(config)
    assert "vectors of train: resumed after 2 of" in caplog.text
    for split in ("train", "validation", "test"):
        resumed, unbroken = (table_of_run(run, "extract_vectors", split) for run in (tmp_path / "run", run_dir))
        assert resumed.patients.tolist() == unbroken.patients.tolist()
        np.testing.assert_allclose(resumed.values, unbroken.values, rtol=1e-4, atol=1e-5)


def test_killed_among_augmented_vectors_it_resumes(run_dir, tmp_path, monkeypatch, caplog):
    shutil.copytree(run_dir, tmp_path / "run", ignore=shutil.ignore_patterns("vectors"))
    config = extract_vectors.Config(
        str(tmp_path / "run"), vectors="numbers", vector_augmentations=1, augmentation="correct"
    )
    make = augmented_vectors.augmented_vectors
    monkeypatch.setattr(
        augmented_vectors, "augmented_vectors", lambda *given, **also: killed_after(2, make, given, also)
    )
    with pytest.raises(Killed):
        extract_vectors.run(config)
    monkeypatch.undo()
    with caplog.at_level(logging.INFO, logger="absl"):
        extract_vectors.run(config)
    assert "vectors of augmented volumes: resumed after 2 of" in caplog.text
    made = table_of_run(tmp_path / "run", "extract_vectors", augmented_vectors.SPLIT)
    train = table_of_run(tmp_path / "run", "extract_vectors", "train")
    assert set(made.patients) == set(train.patients)
    assert len(np.unique(made.values, axis=0)) == len(made)
    assert not list((tmp_path / "run/vectors").glob("*.jsonl"))


def test_taps_that_are_not_known(tmp_path):
    with pytest.raises(InputError, match="--vector_taps=conv9: 'conv9' is not known; take some of conv1"):
        extract_vectors.run(extract_vectors.Config(str(tmp_path), vector_taps=("conv9",)))


def _of_the_unseen(config, folder, caplog):
    """Exports maps of test patients alone, of whom none trained the U-Net."""
    path = folder / "unseen.npz"
    changed = dataclasses.replace(config, to=str(path), splits=("test",), middle_slices=99)
    with mock.patch.object(rundir, "find", _of_a_blind_unet):
        export_features.run(changed)
    tested = table_of_run(config.run_dir, "extract_features", "test")
    assert read_table(path).patients.tolist() == tested.patients.tolist()
    assert importing.trained_on(path) == ""
    assert (
        "patients have fewer slices, from" in caplog.text
        and "found nothing (mean dice of test volumes 0.00)" in caplog.text
    )
    caplog.clear()
    export_features.run(dataclasses.replace(changed, splits=("validation", "test"), middle_slices=1, overwrite=True))
    assert "of split validation are studied" in importing.trained_on(path) and "fewer slices" not in caplog.text


def _of_a_blind_unet(run_dir, stage, *kind, find=rundir.find):
    found = find(run_dir, stage, *kind)
    if stage != "train_unet":
        return found
    return found._replace(record={"figures": {"segmentation": {"test": {"patient_hard_dice": 0.0}}}})


@pytest.mark.parametrize("what", export_features.CHOICES)
def test_exported_features_are_read_back_to_the_same_values(run_dir, tmp_path, what, caplog):
    if what != "vectors":
        extract_features.run(extract_features.Config(str(run_dir), tap="conv4"))
    path = tmp_path / "new" / ("features.npz" if what == "maps" else "features.parquet")
    config = export_features.Config(str(run_dir), str(path), what=what, site_pattern="_([0-9])")
    export_features.run(config)
    read = read_table(path)
    parts = [
        table_of_run(run_dir, "extract_vectors" if what == "vectors" else "extract_features", split)
        for split in ("train", "validation", "test")
    ]
    assert read.patients.tolist() == [patient for part in parts for patient in part.patients]
    assert read.labels.tolist() == [label for part in parts for label in part.labels]
    assert read.samples.tolist() == [sample for part in parts for sample in part.samples]
    assert read.sites.tolist() == [patient[8] for patient in read.patients]
    values = np.concatenate([part.values for part in parts])
    names = list(parts[0].names)
    if what == "channel_means":
        values = values.mean((1, 2))
    elif what == "columns":
        assert values.shape[1:] == (4, 4, 16)
        values = values.reshape(len(values), -1)
        names = [f"channel_{c}_{row}_{column}" for row in range(4) for column in range(4) for c in range(16)]
    if what == "maps":
        _of_the_unseen(config, tmp_path, caplog)
        np.testing.assert_array_equal(read.values, values)
        middle = read.take(run_tables.middle_rows(read, 2))
        for patient in np.unique(read.patients):
            numbers, everything = (one.samples[one.patients == patient] for one in (middle, read))
            assert len(numbers) == 2 and abs(numbers.mean() - everything.mean()) <= 0.5
        return
    kept = [names.index(name) for name in read.names]  # others are constant, or the same as another
    assert len(kept) > 5
    np.testing.assert_array_equal(read.values, values[:, kept])
    with pytest.raises(InputError, match="is there already"):
        export_features.run(config)


def test_where_nothing_can_be_exported(run_dir, tmp_path):
    with pytest.raises(InputError, match=r"--to=.*x.csv must end in .parquet"):
        export_features.run(export_features.Config(str(run_dir), str(tmp_path / "x.csv")))
    with pytest.raises(InputError, match=r"--middle_slices=3 is of --what=maps alone"):
        export_features.run(export_features.Config(str(run_dir), str(tmp_path / "x.parquet"), middle_slices=3))
    with pytest.raises(InputError, match="there is no finished vectors/ in it"):
        export_features.run(export_features.Config(str(tmp_path), str(tmp_path / "x.parquet"), what="vectors"))
