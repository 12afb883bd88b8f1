"""Each kind of bad input, through the binaries: one line, exit status 1, and nothing half-written."""

import json
import logging
import shutil

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf

from rembrandt_featgen.cohort import phantom
from rembrandt_featgen.core import json_files
from rembrandt_featgen.data.store_writer import Writer
from rembrandt_featgen.segmentation import unet_fitting
from rembrandt_featgen.stages import (
    crossvalidate,
    export,
    extract_features,
    pipeline,
    predict,
    prepare_slices,
    train_classifiers,
    train_unet,
)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A small cohort of 6 + 4 patients in BraTS layout; tests damage copies of it."""
    return phantom.write_phantom(tmp_path_factory.mktemp("clean") / "cohort", {"LGG": 4, "HGG": 6}, size=32, slices=3)


@pytest.fixture
def cohort(clean, tmp_path):
    return shutil.copytree(clean, tmp_path / "cohort")


def fails(main, monkeypatch, capsys, *arguments):
    """Runs a binary that must fail; returns its one line of error."""
    monkeypatch.setattr("sys.argv", ["binary", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert stop.value.code == 1
    assert "Traceback" not in captured.err
    assert len(lines) == 1
    assert captured.err.rstrip().endswith(lines[0])  # nothing after it
    return lines[0]


def a_patient(cohort, grade="HGG"):
    folder = sorted((cohort / grade).iterdir())[0]
    return folder, folder / f"{folder.name}_flair.nii.gz", folder / f"{folder.name}_seg.nii.gz"


def rewrite(path, change, dtype=np.float32):
    image = nib.load(path)
    nib.save(nib.Nifti1Image(change(image.get_fdata()).astype(dtype), image.affine), path)


def set_one(value):
    def change(voxels):
        voxels[5, 5, 1] = value
        return voxels

    return change


DAMAGES = {
    "truncated image": ("flair", lambda path: path.write_bytes(path.read_bytes()[:-400]), "truncated"),
    "truncated mask": ("seg", lambda path: path.write_bytes(path.read_bytes()[:60]), "truncated"),
    "not NIfTI": ("flair", lambda path: path.write_bytes(b"hello" * 100), "a text that begins with 'hello"),
    "NaN voxel": ("flair", lambda path: rewrite(path, set_one(np.nan)), "NaN"),
    "infinite voxel": ("flair", lambda path: rewrite(path, set_one(np.inf)), "infinite"),
    "empty volume": ("flair", lambda path: rewrite(path, np.zeros_like), "empty"),
    "mask of another shape": ("seg", lambda path: rewrite(path, lambda v: v[:-1]), "shape"),
    "labels that are not numbers": ("seg", lambda path: rewrite(path, set_one(np.nan)), "NaN"),
    "labels between numbers": ("seg", lambda path: rewrite(path, set_one(0.5)), "label 0.5"),
    "no mask": ("seg", lambda path: path.unlink(), "seg"),
    "no image": ("flair", lambda path: path.unlink(), "flair"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file(damage, cohort, tmp_path, monkeypatch, capsys):
    kind, act, word = DAMAGES[damage]
    folder, image, mask = a_patient(cohort)
    path = image if kind == "flair" else mask
    act(path)
    line = fails(
        prepare_slices.main,
        monkeypatch,
        capsys,
        f"--run_dir={tmp_path / 'run'}",
        f"--cohort={cohort}",
        "--image_size=32",
    )
    assert folder.name in line
    assert word in line
    assert "--cohort" in line
    assert not list((tmp_path / "run").glob("slices*"))


def test_images_of_one_patient_on_different_grids(cohort, tmp_path, monkeypatch, capsys):
    for grade in ("HGG", "LGG"):
        for folder in (cohort / grade).iterdir():
            shutil.copy(folder / f"{folder.name}_flair.nii.gz", folder / f"{folder.name}_t1.nii.gz")
    folder, image, _ = a_patient(cohort)
    rewrite(folder / f"{folder.name}_t1.nii.gz", lambda v: v[:, :-2])
    arguments = [f"--run_dir={tmp_path / 'run'}", f"--cohort={cohort}", "--modalities=flair,t1", "--image_size=32"]
    line = fails(prepare_slices.main, monkeypatch, capsys, *arguments)
    assert f"{folder.name}_t1.nii.gz" in line
    assert "--modalities" in line


def test_planted_leak_of_one_patient_under_two_names(cohort, tmp_path, monkeypatch, capsys):
    """A patient scanned once, in the cohort twice, with other intensities: caught and named."""
    folder, image, mask = a_patient(cohort)
    alias = cohort / "HGG" / "ALIAS"
    alias.mkdir()
    shutil.copy(image, alias / "ALIAS_flair.nii.gz")
    shutil.copy(mask, alias / "ALIAS_seg.nii.gz")
    rewrite(alias / "ALIAS_flair.nii.gz", lambda v: 2 * v + 10)
    line = fails(
        prepare_slices.main,
        monkeypatch,
        capsys,
        f"--run_dir={tmp_path / 'run'}",
        f"--cohort={cohort}",
        "--image_size=32",
    )
    for word in ("ALIAS", folder.name, "same volume", "--cohort"):
        assert word in line
    assert not list((tmp_path / "run").glob("slices*"))


def test_split_file_of_another_cohort(cohort, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    prepare_slices.run(prepare_slices.Config(str(run), str(cohort), image_size=32))
    split = run / "slices" / "split.json"
    again = tmp_path / "again"
    prepare_slices.run(prepare_slices.Config(str(again), str(cohort), image_size=32, split_file=str(split), seed=5))
    assert (again / "slices" / "split.json").read_text() == split.read_text()
    folder, _, _ = a_patient(cohort)
    shutil.rmtree(folder)
    arguments = [f"--run_dir={tmp_path / 'third'}", f"--cohort={cohort}", "--image_size=32", f"--split_file={split}"]
    line = fails(prepare_slices.main, monkeypatch, capsys, *arguments)
    assert f"--split_file={split}" in line
    assert folder.name in line


def manifest(cohort, tmp_path, edit):
    """A manifest of `cohort` whose rows (patient, label, flair, mask) went through `edit`."""
    rows = [
        [folder.name, grade, folder / f"{folder.name}_flair.nii.gz", folder / f"{folder.name}_seg.nii.gz"]
        for grade in ("HGG", "LGG")
        for folder in sorted((cohort / grade).iterdir())
    ]
    path = tmp_path / "manifest.csv"
    path.write_text("patient,label,flair,mask\n" + "\n".join(",".join(map(str, row)) for row in edit(rows)) + "\n")
    return path


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda rows: [[rows[0][0], "", *rows[0][2:]], *rows[1:]], ["no label", "manifest.csv"]),
        (lambda rows: [[rows[0][0], "benign", *rows[0][2:]], *rows[1:]], ["benign", "HGG", "--classes"]),
        (lambda rows: [*rows, rows[0]], ["twice", "manifest.csv"]),
        (lambda rows: [[*rows[0][:3], ""], *rows[1:]], ["mask"]),
        (
            lambda rows: [[*row[:2], row[3], row[2]] for row in rows],
            ["_flair.nii.gz: the mask has", "the mask as the mask"],
        ),
        (lambda rows: rows[:7], ["LGG", "--test_fraction"]),
    ],
    ids=["no label", "three classes", "duplicate patient", "no mask", "image and mask swapped", "too few of a class"],
)
def test_bad_manifest(edit, words, cohort, tmp_path, monkeypatch, capsys):
    path = manifest(cohort, tmp_path, edit)
    arguments = [f"--run_dir={tmp_path / 'run'}", f"--cohort={path}", "--image_size=32"]
    line = fails(prepare_slices.main, monkeypatch, capsys, *arguments)
    for word in words:
        assert word in line
    assert not list((tmp_path / "run").glob("slices*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cohort=/nowhere/at/all"], ["--cohort=/nowhere/at/all"]),
        (["--image_size=100"], ["--image_size=100", "96", "112"]),
        (["--test_counts=HGG"], ["--test_counts", "LGG:4,HGG:7"]),
        (["--test_counts=HGG:0,LGG:0"], ["--test_counts=HGG:0,LGG:0", "no patient for test"]),
        (["--validation_fraction=0"], ["--validation_fraction"]),
        (["--no_such_flag=1"], ["no_such_flag"]),
        (["--image_size=big"], ["image_size", "big"]),
        (["stray"], ["stray"]),
        (["--flagfile=/nowhere.flags"], ["/nowhere.flags"]),
    ],
)
def test_bad_flag(arguments, words, cohort, tmp_path, monkeypatch, capsys):
    line = fails(
        prepare_slices.main,
        monkeypatch,
        capsys,
        f"--run_dir={tmp_path / 'run'}",
        f"--cohort={cohort}",
        "--image_size=32",
        *arguments,
    )
    for word in words:
        assert word in line


def test_no_run_dir(monkeypatch, capsys):
    assert "--run_dir" in fails(prepare_slices.main, monkeypatch, capsys)


def test_run_dir_that_cannot_be_made(cohort, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    arguments = [f"--run_dir={tmp_path / 'file' / 'run'}", f"--cohort={cohort}", "--image_size=32"]
    assert "--run_dir" in fails(prepare_slices.main, monkeypatch, capsys, *arguments)


def test_run_dir_made_by_other_settings(cohort, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    prepare_slices.run(prepare_slices.Config(str(run), str(cohort), image_size=32))
    before = (run / "slices" / "stage.json").read_bytes()
    line = fails(prepare_slices.main, monkeypatch, capsys, f"--run_dir={run}", f"--cohort={cohort}", "--image_size=64")
    for word in ("--image_size=32 (now 64)", "delete", str(run / "slices"), "--run_dir"):
        assert word in line
    assert (run / "slices" / "stage.json").read_bytes() == before


def test_unknown_tap(tmp_path, monkeypatch, capsys):
    line = fails(extract_features.main, monkeypatch, capsys, f"--run_dir={tmp_path}", "--tap=conv6")
    assert "--tap=conv6" in line
    assert "conv1, conv2" in line


@pytest.mark.parametrize(
    ("stage", "missing"),
    [
        (train_unet, "prepare_slices"),
        (extract_features, "prepare_slices"),
        (train_classifiers, "extract_features"),
        (export, "prepare_slices"),
    ],
)
def test_stage_before_it_is_missing(stage, missing, tmp_path, monkeypatch, capsys):
    line = fails(stage.main, monkeypatch, capsys, f"--run_dir={tmp_path}")
    assert f"python -m rembrandt_featgen.stages.{missing} --run_dir={tmp_path}" in line


def test_truncated_shard(cohort, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    prepare_slices.run(prepare_slices.Config(str(run), str(cohort), image_size=32))
    shard = run / "slices" / "volumes-00000.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-7])
    line = fails(train_unet.main, monkeypatch, capsys, f"--run_dir={run}", "--unet_width=2", "--unet_epochs=1")
    assert str(shard) in line
    assert "delete" in line
    assert not list(run.glob("unet*"))


def test_more_synthetic_features_wanted_than_there_are(tmp_path, monkeypatch, capsys):
    for name, split in (("features", "train"), ("synthetic_acgan", "synthetic")):
        (tmp_path / name).mkdir()
        with Writer(tmp_path / name, split, {"feature": ((1, 1, 1), "float32")}) as writer:
            writer.write({"feature": np.zeros((1, 1, 1))}, "A", slice_index=0, label=1)
        json_files.write_json(
            tmp_path / name / "stage.json",
            {
                "config": {},
                "inputs": {},
                "figures": {"shape": [1, 1, 1]},
                "classes": {"names": ["LGG", "HGG"], "positive": "HGG"},
            },
        )
    line = fails(train_classifiers.main, monkeypatch, capsys, f"--run_dir={tmp_path}", "--synthetic_added=5")
    assert "--synthetic_added=5" in line
    assert "--synthetic_per_class" in line
    assert not list(tmp_path.glob("classifier*"))


def test_training_that_diverges(cohort, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    prepare_slices.run(prepare_slices.Config(str(run), str(cohort), image_size=32))
    monkeypatch.setitem(unet_fitting.DICE, "batch", lambda truth, probability: tf.reduce_sum(probability) * np.nan)
    line = fails(train_unet.main, monkeypatch, capsys, f"--run_dir={run}", "--unet_width=2", "--unet_epochs=3")
    assert "loss is nan" in line
    assert "learning rate" in line
    assert not list(run.glob("unet*"))


def test_masks_that_are_empty_in_all_training_patients_are_refused(cohort, tmp_path, monkeypatch, capsys):
    for mask in cohort.glob("*/*/*_seg.nii*"):
        rewrite(mask, np.zeros_like, np.uint8)
    line = fails(prepare_slices.main, monkeypatch, capsys, f"--run_dir={tmp_path}", f"--cohort={cohort}")
    assert f"--cohort={cohort}: the masks of all training patients are empty" in line
    assert not list(tmp_path.glob("slices*"))


def test_masks_that_are_empty_in_all_test_patients_are_said(cohort, tmp_path, caplog):
    prepare_slices.run(prepare_slices.Config(str(tmp_path / "run"), str(cohort), image_size=32))
    split = tmp_path / "run" / "slices" / "split.json"
    for patient in sum(json.loads(split.read_text())["test"].values(), []):
        (mask,) = cohort.glob(f"*/{patient}/*_seg.nii*")
        rewrite(mask, np.zeros_like, np.uint8)
    caplog.clear()
    again = prepare_slices.Config(str(tmp_path / "again"), str(cohort), image_size=32, split_file=str(split))
    with caplog.at_level(logging.WARNING, logger="absl"):
        prepare_slices.run(again)
    assert "the masks of all test patients are empty: its dice says only" in caplog.text
    assert "all validation patients" not in caplog.text


def test_empty_masks_are_legal_and_counted(cohort, tmp_path, caplog):
    folder, _, mask = a_patient(cohort)
    rewrite(mask, np.zeros_like, np.uint8)
    with caplog.at_level(logging.WARNING, logger="absl"):
        prepare_slices.run(prepare_slices.Config(str(tmp_path / "run"), str(cohort), image_size=32))
    assert f"1 patient has an empty mask, which is legal: {folder.name}" in caplog.text
    figures = json.loads((tmp_path / "run" / "slices" / "stage.json").read_text())["figures"]
    assert figures["empty_mask_patients"] == [folder.name]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mask=out.png"], ["--mask=out.png", ".nii.gz"]),
        (["--mask="], ["--mask is missing", "--mask=mask.nii.gz"]),
        (["--model_dir=/nowhere"], ["--model_dir=/nowhere", "export/"]),
    ],
)
def test_predict(arguments, words, cohort, tmp_path, monkeypatch, capsys):
    _, image, _ = a_patient(cohort)
    line = fails(
        predict.main,
        monkeypatch,
        capsys,
        f"--model_dir={tmp_path}",
        f"--image={image}",
        f"--mask={tmp_path / 'm.nii.gz'}",
        *arguments,
    )
    for word in words:
        assert word in line
    assert not (tmp_path / "m.nii.gz").exists()


def test_predict_never_replaces_a_file_unasked(cohort, tmp_path, monkeypatch, capsys):
    _, image, mask = a_patient(cohort)
    before = {path: path.read_bytes() for path in (image, mask)}
    for path, word in ((image, "also --image"), (mask, "--overwrite")):
        arguments = (f"--model_dir={tmp_path}", f"--image={image}", f"--mask={path}")
        assert word in fails(predict.main, monkeypatch, capsys, *arguments)
    arguments = (f"--model_dir={tmp_path}", f"--image={image}", f"--mask={image}", "--overwrite")
    assert "also --image" in fails(predict.main, monkeypatch, capsys, *arguments)
    arguments = (f"--model_dir={tmp_path}", f"--image={image}", "--mask=new.nii", f"--result={image}", "--overwrite")
    assert "--result=" in fails(predict.main, monkeypatch, capsys, *arguments)
    (tmp_path / "file").write_text("")
    arguments = (f"--model_dir={tmp_path}", f"--image={image}", "--mask=new.nii", f"--result={tmp_path}/file/r.json")
    assert "--result=" in fails(predict.main, monkeypatch, capsys, *arguments)
    assert before == {path: path.read_bytes() for path in (image, mask)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tap=conv9"], ["--tap=conv9", "conv5"]),
        (["--generators=wgan"], ["--generators=wgan", "acgan"]),
        (["--synthetic_per_class=5", "--synthetic_added=11"], ["--synthetic_added=11", "take 10"]),
        (["--tap=crop_cnn", "--image_size=64"], ["--crop_size=96", "take 64"]),
        (["--tap=crop_cnn", "--crop_folds=1"], ["--crop_folds=1", "0 for no"]),
        (["--sweep_taps=conv9"], ["--sweep_taps=conv9", "uconv4"]),
        (["--sweep_filters=x"], ["--sweep_filters=x", "64,256,512"]),
        (["--classifier_kinds=typo"], ["--classifier_kinds", "typo"]),
        (["--classifier_kinds=cnn,linear,cnn"], ["names one twice; write --classifier_kinds=cnn,linear"]),
        (["--classifier_arms=baseline,baseline"], ["names one twice; write --classifier_arms=baseline"]),
        (["--unet_weights=/nowhere.npz"], ["--unet_weights=/nowhere.npz", "No such file"]),
        (["--unet_weights_modalities=t1"], ["--unet_weights_modalities=t1", "give both or neither"]),
        (["--unet_class_weight=0.3"], ["--unet_class_weight=0.3 without --cross_fit", "--cross_fit=3"]),
        (["--spacing=real"], ["--spacing=real", "--trust_spacing=yes"]),  # as it was once
        (["--cv_folds=3"], ["--cv_folds is a flag of another binary", "leave it out"]),
    ],
)
def test_bad_flags_of_a_run_are_said_before_anything_is_learnt(arguments, words, tmp_path, monkeypatch, capsys):
    line = fails(pipeline.main, monkeypatch, capsys, f"--run_dir={tmp_path / 'run'}", *arguments)
    for word in words:
        assert word in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tap=conv9"], ["--tap=conv9", "conv5"]),
        (["--arms=acgn"], ["--arms", "'acgn'"]),
        (["--arms=acgan"], ["none to compare", "'none'"]),
        (["--arm_amounts=1,1.0"], ["--arm_amounts=1,1.0", "twice"]),
        (["--unet_weights=/nowhere.npz"], ["--unet_weights=/nowhere.npz", "No such file"]),
        (["--spacing=1,1"], ["--spacing=1,1:", "1,1,5"]),
        (["--arm_amounts=much"], ["--arm_amounts=much", "0,1,4"]),
        (["--arm_amounts=-1"], ["--arm_amounts=-1", "from 0 on"]),
    ],
)
def test_bad_flags_of_a_study_are_said_before_anything_is_learnt(arguments, words, tmp_path, monkeypatch, capsys):
    line = fails(crossvalidate.main, monkeypatch, capsys, f"--run_dir={tmp_path / 'run'}", *arguments)
    for word in words:
        assert word in line
    assert not (tmp_path / "run").exists()
