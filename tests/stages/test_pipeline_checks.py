import pytest

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core import registry
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.stages import crossvalidate, pipeline

CLASSES = Classes.of(("benign", "malignant"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"synthetic_to": "HGG"},
            "--synthetic_to=HGG: 'HGG' is not known; take some of all, minority, benign, malignant",
        ),
        ({"sweep_added": ("0", "9"), "sweep_added_to": ("all", "LGG")}, "--sweep_added_to=all,LGG: 'LGG' is not known"),
    ],
)
def test_classes_that_the_run_lacks_are_refused_once_its_classes_are_known(settings, message):
    with pytest.raises(InputError, match=f"^{message}"):
        pipeline.check_receivers(pipeline.Config(run_dir="x", **settings), CLASSES)


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({}, set()),
        ({"study_features": False}, {"extract_vectors", "evaluate_features"}),
        ({"classifiers": ("cnn",)}, {"extract_vectors"}),
        ({"last_stage": "train_unet"}, set(registry.RUN[registry.RUN.index("train_unet") + 1 :])),
    ],
)
def test_stages_of_a_run(settings, missing):
    names = pipeline.stages_of(pipeline.Config(run_dir="x", **settings))
    assert set(registry.RUN) - set(names) == missing
    assert names == [name for name in registry.RUN if name in names]


def test_an_arm_that_nothing_feeds_is_refused_before_anything_is_trained(tmp_path):
    config = {"run_dir": str(tmp_path / "run"), "arms": ("none", "acgan")}
    with pytest.raises(InputError, match="^--arms: acgan has nothing to learn from; add acgan to --generators"):
        pipeline.run(pipeline.Config(**config))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "settings", [{}, {"synthetic_to": "benign"}, {"sweep_added_to": ("LGG",)}, {"sweep_added": ("all",)}]
)
def test_classes_of_the_run_and_sweeps_that_are_not_asked_for_pass(settings):
    pipeline.check_receivers(pipeline.Config(run_dir="x", **settings), CLASSES)


def test_several_hosts_run_stages_one_by_one(tmp_path):
    config = {"run_dir": str(tmp_path / "run"), "strategy": "multi_worker"}
    for binary in (pipeline, crossvalidate):
        with pytest.raises(
            InputError, match="^--strategy=multi_worker is for stages that are run one by one: train_unet"
        ):
            binary.run(binary.Config(**config))
    assert not (tmp_path / "run").exists()
