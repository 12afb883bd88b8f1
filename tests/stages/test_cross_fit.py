"""--cross_fit: features of training patients come from U-Nets that never saw them, from training to table."""

import logging
import shutil

import numpy as np
import pytest

from rembrandt_featgen.core import json_files
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.data.store import Store
from rembrandt_featgen.features import cross_fitting, patient_vectors
from rembrandt_featgen.features.run_tables import table_of_run
from rembrandt_featgen.nn import weights
from rembrandt_featgen.segmentation import unet_callbacks, unet_export, unet_fitting, unet_parts, weight_records
from rembrandt_featgen.segmentation.unet import tap_model
from rembrandt_featgen.stages import extract_features, extract_vectors, prepare_slices, train_unet

TINY = {"unet_width": 2, "unet_epochs": 2, "unet_batch": 8, "unet_warmup_steps": 0, "seed": 3, "cross_fit": 2}
NETWORKS = ("", "part0", "part1")


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """A run with cross-fitted U-Nets, the folder as a kill in the last one's second epoch would leave it, and what
    each network was trained on: patients, and weights at first."""
    folder, seen, starts, epochs = tmp_path_factory.mktemp("cross_fit"), [], [], []
    shutil.copytree(prepared, folder / "run")
    order_of, fit, measure = pipelines.training_order, unet_fitting.fit, unet_callbacks.Validation.on_epoch_end
    patients = np.array(Store(prepared / "slices", "train").patients)

    def watched_order(*arguments, **keywords):
        order = order_of(*arguments, **keywords)
        seen.append(set(np.concatenate([patients[order(np.array([3, epoch], np.int64))] for epoch in range(3)])))
        return order

    def watched_fit(unet, *arguments, **keywords):
        starts.append(unet.get_weights())
        return fit(unet, *arguments, **keywords)

    def copy_and_measure(self, epoch, logs=None):
        epochs.append(epoch)
        if len(epochs) == 6:
            shutil.copytree(folder / "run", folder / "killed")
        measure(self, epoch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines, "training_order", watched_order)
        patch.setattr(unet_fitting, "fit", watched_fit)
        patch.setattr(unet_callbacks.Validation, "on_epoch_end", copy_and_measure)
        train_unet.run(train_unet.Config(str(folder / "run"), **TINY))
    return folder / "run", folder / "killed", seen, starts


def figures(run, stage="unet"):
    return json_files.read_json(run / stage / "stage.json")["figures"]


def test_each_network_learns_from_all_but_its_part(trained):
    run, _, seen, _ = trained
    part_of = figures(run)["part_of"]
    assert seen[0] == set(part_of) == set(Store(run / "slices", "train").patients)
    for part, patients in enumerate(seen[1:]):
        left_out = {patient for patient, of in part_of.items() if of == part}
        assert left_out
        assert patients == set(part_of) - left_out
        labels = {label for patient, label in zip(*_columns(run)) if patient in left_out}
        assert labels == {0, 1}
        record = weight_records.read_record(run / "unet" / f"part{part}" / "best.npz")
        assert set(record.patients[record.splits == "train"]) == patients
    everybody = weight_records.read_record(run / "unet" / "best.npz")
    assert set(everybody.patients[everybody.splits == "train"]) == set(part_of)
    assert set(everybody.patients[everybody.splits == "validation"]) == set(
        Store(run / "slices", "validation").patients
    )
    assert everybody.complete


def _columns(run):
    store = Store(run / "slices", "train")
    return store.patients, store.labels


def test_all_start_from_the_same_weights_and_end_with_others(trained):
    run, _, _, starts = trained
    for start in starts[1:]:
        for one, other in zip(start, starts[0]):
            np.testing.assert_array_equal(one, other)
    first, *others = (weights.read(run / "unet" / name / "best.npz") for name in NETWORKS)
    assert all(any(np.any(a != b) for a, b in zip(first, other)) for other in others)
    assert [part["epochs"] for part in figures(run)["parts"]] == [2, 2]


def test_a_killed_run_resumes_at_the_network_where_it_was(trained, monkeypatch):
    run, killed, _, _ = trained
    assert len(json_files.read_json(killed / "unet.part" / "part1" / "history.json")["loss"]) == 1
    measure, epochs = unet_callbacks.Validation.on_epoch_end, []

    def counted(self, epoch, logs=None):
        epochs.append(epoch)
        measure(self, epoch, logs)

    monkeypatch.setattr(unet_callbacks.Validation, "on_epoch_end", counted)
    train_unet.run(train_unet.Config(str(killed), **TINY))
    assert epochs == [1]
    for name in NETWORKS:
        wanted, found = (json_files.read_json(of / "unet" / name / "history.json") for of in (run, killed))
        assert found == wanted
        for one, other in zip(*(weights.read(of / "unet" / name / "best.npz") for of in (run, killed))):
            np.testing.assert_array_equal(one, other)


def networks(run):
    """The U-Net of all, and what is known of the others."""
    record, slices = (json_files.read_json(run / name / "stage.json") for name in ("unet", "slices"))
    options = {"slices": slices, "precision": "float32"}
    unet = unet_export.restore_unet(run / "unet", config=record["config"], **options)
    return unet, unet_parts.restore_parts(run / "unet", record=record, **options)


def images_and_patients(run, split):
    records = [*Store(run / "slices", split).dataset().as_numpy_iterator()]
    return np.stack([record["image"] for record in records]), [record["patient"].decode() for record in records]


def test_maps_of_training_patients_come_from_whoever_never_saw_them(trained):
    run, _, _, _ = trained
    extract_features.run(extract_features.Config(str(run), tap="conv3", extract_batch=4))
    unet, parts = networks(run)
    for split in ("train", "validation", "test"):
        images, patients = images_and_patients(run, split)
        stored = np.stack([one["feature"] for one in Store(run / "features", split).dataset().as_numpy_iterator()])
        by_all = tap_model(unet, "conv3")(images).numpy()
        if split != "train":
            np.testing.assert_allclose(stored, by_all, rtol=1e-4, atol=1e-5)
            continue
        numbers = np.array([parts.part_of[patient] for patient in patients])
        for part, network in enumerate(parts.networks):
            out, features = numbers == part, tap_model(network, "conv3")(images).numpy()
            # 16 positions a slice, which all are drawn
            kernel = cross_fitting.channel_map(features[~out], by_all[~out])
            wanted = cross_fitting.mapped(features[out], kernel)
            np.testing.assert_allclose(stored[out], wanted, rtol=1e-3, atol=1e-4)
            assert np.abs(stored[out] - by_all[out]).max() > 1e-3


def test_vectors_of_training_patients_come_from_whoever_never_saw_them(trained, caplog):
    run, _, _, _ = trained
    with caplog.at_level(logging.INFO, logger="absl"):
        extract_vectors.run(extract_vectors.Config(str(run), vector_taps=("conv2",), vector_batch=4))
    assert sorted(path.suffix for path in (run / "vectors").iterdir()) == [".json", *[".parquet"] * 3, ".txt"]
    unet, parts = networks(run)
    settings = patient_vectors.Settings("both", taps=("conv2",), modalities=("flair",), in_mm=True, batch=4)

    def by(network, split):
        found = patient_vectors.patient_vectors(
            patient_vectors.runner(network, settings), run / "slices", split, settings=settings
        )
        return {one.patient: one.numbers for one in found}

    by_all, by_part = by(unet, "train"), [by(network, "train") for network in parts.networks]
    for split in ("train", "test"):
        table, of_split = table_of_run(run, "extract_vectors", split), by(unet, split)
        kept = [name.startswith("conv2_") for name in table.names]
        for patient, row in zip(table.patients.tolist(), table.values):
            wanted = list((by_part[parts.part_of[patient]] if split == "train" else of_split)[patient].values())
            chosen = slice(None) if split == "test" else ~np.array(kept)
            np.testing.assert_allclose(row[chosen], np.array(wanted)[chosen], rtol=1e-3, atol=1e-4)
    train = table_of_run(run, "extract_vectors", "train")
    unmapped = np.array([list(by_all[patient].values()) for patient in train.patients.tolist()])
    assert np.abs(train.values - unmapped)[:, kept].max() > 1e-3


def test_features_that_are_computed_as_they_are_needed_have_one_network(trained):
    run, _, _, _ = trained
    config = extract_features.Config(str(run), tap="conv4", features_from="slices")
    shutil.rmtree(run / "features", ignore_errors=True)
    with pytest.raises(InputError, match="--features_from=slices does not work with --cross_fit=2.* take --features_"):
        extract_features.run(config)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"cross_fit": 1}, "--cross_fit=1 leaves nobody to learn from; take 2 or 3, or 0"),
        ({"unet_class_weight": 0.3}, r"--unet_class_weight=0\.3 without --cross_fit: .* add --cross_fit=3 "),
        (
            {"cross_fit": 3},
            "--cross_fit=3 needs as many training patients .* of every class, .* 2 of LGG; take --cross_fit=2",
        ),
    ],
)
def test_flags_that_cannot_be_met(prepared, flags, words):
    with pytest.raises(InputError, match=words):
        train_unet.run(train_unet.Config(str(prepared), **flags))
    assert not list(prepared.glob("unet*"))


def test_weights_that_saw_this_runs_patients(trained, prepared, tmp_path, caplog):
    """Of the same split they may start a run, but none with --cross_fit; of another split none."""
    run, _, _, _ = trained
    shutil.copytree(prepared, tmp_path / "run")
    config = train_unet.Config(str(tmp_path / "run"), unet_width=2, unet_weights=str(run / "unet" / "best.npz"))

    def check(run):
        weights = config.unet_weights
        return weight_records.seen_patients(run / "slices", "flair", weights=weights, cross_fit=False)

    with caplog.at_level(logging.WARNING, logger="absl"):
        assert check(tmp_path / "run").complete
    assert not caplog.text
    with pytest.raises(InputError, match=r"best\.npz was trained on patients of this run .*\(train\).* --cross_fit=0"):
        train_unet.run(train_unet.Config(**{**vars(config), "cross_fit": 2}))
    other = prepare_slices.Config(str(tmp_path / "other"), str(prepared.parent / "cohort"), image_size=32, seed=1)
    prepare_slices.run(other)
    with pytest.raises(InputError, match=r"patients of this run who judge it: .*\(test\)"):
        check(tmp_path / "other")
