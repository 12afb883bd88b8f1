"""What crossvalidate refuses before it trains anything; tests/stages/test_study_of_vectors.py runs a study."""

import pytest

from rembrandt_featgen.core import folders
from rembrandt_featgen.core.errors import BusyError, InputError
from rembrandt_featgen.stages import crossvalidate, pipeline

AUGMENTED = (
    "image_augmentation has nothing to learn from; give --vector_augmentations for vectors, or classifiers of maps"
)


@pytest.mark.parametrize(
    ("arms", "classifiers", "message"),
    [
        ("none,image_augmentation", "ridge", AUGMENTED),
        ("none,covariates", "ridge", "covariates has nothing to learn from; give --covariates"),
        ("none,features_and_covariates", "cnn", "features_and_covariates has nothing to learn from; give --covariates"),
        ("none,synthetic", "ridge", "synthetic has nothing to learn from; run evaluate_features with --features"),
        ("none,acgan,cgan", "ridge", "acgan has nothing to learn from; add acgan to --generators, with cnn or linear"),
        ("image_augmentation,gaussian", "ridge,cnn", "of vectors, none to compare generated features with"),
    ],
)
def test_an_arm_that_nothing_feeds_is_refused_at_once(tmp_path, arms, classifiers, message):
    config = crossvalidate.Config(
        run_dir=str(tmp_path / "study"), arms=tuple(arms.split(",")), classifiers=tuple(classifiers.split(","))
    )
    with pytest.raises(InputError, match=f"^--arms.*{message}"):
        crossvalidate.run(config)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("arms", "changes"),
    [
        ("none,image_augmentation", {"vector_augmentations": 1}),
        ("none,covariates", {"covariates": ("age",)}),
        ("none,image_augmentation,acgan", {"classifiers": ("cnn", "ridge")}),
    ],
)
def test_an_arm_that_something_feeds_is_not(arms, changes):
    crossvalidate._check(
        crossvalidate.Config(run_dir="nowhere", arms=tuple(arms.split(",")), **{"classifiers": ("ridge",), **changes})
    )


def test_fold_processes_are_said_once(tmp_path):
    config = crossvalidate.Config(
        run_dir=str(tmp_path / "study"), scheduler="local", cv_workers=2, arms=("none",), classifiers=("ridge",)
    )
    with pytest.raises(InputError, match="^--cv_workers=2 with --scheduler=local: it is of --scheduler=serial"):
        crossvalidate.run(config)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("binary", [crossvalidate, pipeline], ids=["study", "run"])
def test_a_second_process_on_a_folder_stops_before_it_does_anything(binary, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_PATIENCE", 0.0)
    with folders.working_on(tmp_path), pytest.raises(BusyError, match="another process is at work on"):
        binary.run(binary.Config(run_dir=str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == [".run.lock"]
