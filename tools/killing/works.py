"""What is killed: commands of tiny runs and studies, one after another, and the stage that an event is of."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

from killing import work_inputs
from rembrandt_featgen.core import registry

_POINTS = {registry.SWEEP_POINTS: "run_sweep"}
START = "(start)"  # before a command has touched a file


@dataclasses.dataclass(frozen=True)
class Command:
    """A binary with its arguments; `{run}` and `{inputs}` stand for folders.

    Attributes:
      name: of the stage or runner.
      arguments: of its command line.
    """

    name: str
    arguments: tuple[str, ...]

    @property
    def module(self) -> str:
        """Dotted name of its module."""
        return f"{registry.PACKAGE}.{self.name}"

    def argv(self, run: Path, inputs: Path) -> list[str]:
        """Its command line without the program."""
        return [argument.format(run=run, inputs=inputs) for argument in self.arguments]


@dataclasses.dataclass(frozen=True)
class Work:
    """Commands that are run one after another, each until it has finished.

    Attributes:
      commands: in their order.
      make_inputs: writes what they read into a folder.
    """

    commands: tuple[Command, ...]
    make_inputs: Callable[[Path], None]


def stage_of(path: Path, command: str) -> str:
    """The stage that writes a file; "" of a lock, which is also taken to find a stage done.

    Args:
      path: relative to the folder of all runs of a work.
      command: name of the one at work, which is the stage of what no stage writes.
    """
    if path.suffix == ".lock":
        return ""
    for part in path.parts:
        if part in _POINTS:
            return _POINTS[part]
        name = part.removeprefix(".").removesuffix(".old").removesuffix(".part")
        if name in _folders():
            return _of_folder(name, command)
        for start in ("generator_", "synthetic_"):
            if name.startswith(start) and not Path(name).suffix:
                return {"generator_": "train_generators", "synthetic_": "generate_synthetic"}[start]
    return command


@functools.lru_cache(maxsize=1)
def _folders() -> dict[str, list[str]]:
    """Name of each folder to the stages that write it."""
    found: dict[str, list[str]] = {}
    for stage in registry.STAGES.values():
        if not stage.has_kinds:
            found.setdefault(stage.folder, []).append(stage.name)
    return found


def _of_folder(folder: str, command: str) -> str:
    names = _folders()[folder]
    if len(names) == 1:
        return names[0]
    return "write_study_report" if command == "crossvalidate" else names[0]


_PHANTOM = (
    "--cohort=phantom",
    "--phantom_size=40",
    "--phantom_slices=3",
    "--image_size=32",
    "--unet_width=2",
    "--unet_epochs=4",
    "--unet_batch=4",
    "--unet_patience=0",
    "--ndf=4",
    "--ngf=4",
    "--gan_epochs=6",
    "--gan_batch=8",
    "--synthetic_per_class=8",
    "--generate_tries=200",
    "--bootstrap_draws=100",
    "--validation_fraction=0.3",
    "--trainings=2",
    "--vectors=numbers",
    "--deterministic",
)
_TABLE = (
    "--cv_folds=3",
    "--trainings=2",
    "--validation_fraction=0.25",
    "--bootstrap_draws=100",
    "--deterministic",
    "--arms=none,smote,gaussian",
    "--arm_amounts=0,1",
)

_PIPELINE = (
    Command(
        "pipeline",
        (
            "--run_dir={run}/run",
            *_PHANTOM,
            "--phantom_counts=LGG:7,HGG:8",
            "--test_fraction=0.3",
            "--synthetic_added=0",
            "--classifier_filters=2",
            "--classifier_units=4",
            "--classifier_epochs=6",
            "--maximisation_steps=2",
            "--classifiers=ridge",
            "--arms=none,gaussian",
            "--arm_amounts=0",
            "--sweep_added=0,4",
        ),
    ),
    Command("export_features", ("--run_dir={run}/run", "--to={run}/features.parquet", "--overwrite")),
    Command(
        "predict",
        (
            "--model_dir={run}/run/export",
            "--image={inputs}/flair.nii.gz",
            "--mask={run}/mask.nii.gz",
            "--result={run}/prediction.json",
            "--overwrite",
        ),
    ),
)
_SHOTS = (
    "--run_dir={run}/run_few",
    "--features={inputs}/one.csv",
    "--shots=3",
    "--test_fraction=0.4",
    "--few_shot_arms=none,smote,gaussian",
    "--few_shot_classifiers=ridge",
    "--fixed_strengths=ridge@0.3",
    "--bootstrap_draws=100",
    "--deterministic",
)
# The second one extends the first, whose folder stays until it is finished.
_FEW = (Command("fewshot", ("--draws=5", *_SHOTS)), Command("fewshot", ("--draws=7", *_SHOTS)))
_FOLDS = ("--cv_folds=2", "--classifiers=cnn,ridge", "--arms=none,smote,acgan", "--arm_amounts=0")
_STUDY = (
    Command(
        "evaluate_features",
        (
            "--run_dir={run}/run_one",
            "--features={inputs}/one.csv",
            "--classifiers=ridge,mlp",
            "--covariates=age",
            *_TABLE,
        ),
    ),
    Command(
        "evaluate_features",
        ("--run_dir={run}/run_two", "--features={inputs}/two.csv", "--classifiers=ridge", *_TABLE),
    ),
    Command(
        "evaluate_features",
        (
            "--run_dir={run}/run_maps",
            "--features={inputs}/maps.npz",
            "--classifiers=cnn",
            "--classifier_epochs=4",
            *_TABLE,
        ),
    ),
    Command("fit_final_model", ("--run_dir={run}/run_one", "--bootstrap_draws=100", "--deterministic")),
    Command(
        "evaluate_final_model",
        (
            "--run_dir={run}/run_elsewhere",
            "--model_dir={run}/run_one/final",
            "--test_features={inputs}/three.csv",
            "--bootstrap_draws=100",
        ),
    ),
    Command(
        "predict",
        (
            "--model_dir={run}/run_one/final",
            "--features={inputs}/three.csv",
            "--result={run}/predictions.csv",
            "--overwrite",
        ),
    ),
    *_FEW,
    Command(
        "share_synthetic",
        (
            "--run_dir={run}/run_shared",
            "--features={inputs}/one.csv",
            "--generators=gaussian,random_oversampling",
            "--cv_folds=2",
            "--attack_games=6",
            "--bootstrap_draws=100",
            "--deterministic",
            "--share=gaussian",
        ),
    ),
    Command(
        "pool_studies", ("--run_dir={run}/run_pooled", "--studies=one={run}/run_one/study,two={run}/run_two/study")
    ),
    Command(
        "crossvalidate",
        ("--run_dir={run}/run_volumes", *_PHANTOM, "--phantom_counts=LGG:8,HGG:8", "--classifier_epochs=3", *_FOLDS),
    ),
)
# For the tests: a study of vectors, which takes seconds.
_TINY = (
    Command(
        "evaluate_features",
        ("--run_dir={run}/run_one", "--features={inputs}/one.csv", "--classifiers=ridge", *_TABLE),
    ),
)


_OF_DOWNLOAD = (
    "--out={run}/cohort",
    "--labels_table={inputs}/clinical.csv",
    "--label_column=Grade",
)
# The second one has more patients, visits and modalities, and keeps what the first one wrote.
_IMPORT = (
    Command("import_dicom", ("--dicom={inputs}/some", "--masks={inputs}/some_masks", *_OF_DOWNLOAD)),
    Command(
        "import_dicom",
        ("--dicom={inputs}/all", "--masks={inputs}/all_masks", "--modalities=flair,t1", *_OF_DOWNLOAD),
    ),
)
_SELFCHECK = (
    Command(
        "selfcheck",
        (
            "--run_dir={run}/run",
            "--checks=random_labels,planted_leak,same_arm",
            "--simulated_studies=20",
            *_PHANTOM,
            "--phantom_counts=LGG:8,HGG:8",
            "--classifier_epochs=3",
            "--cv_folds=2",
            "--classifiers=cnn",
            "--arms=none,acgan",
            "--arm_amounts=0",
        ),
    ),
)


WORKS = {
    "pipeline": Work(_PIPELINE, work_inputs.of_runs),
    "study": Work(_STUDY, work_inputs.of_studies),
    "extension": Work(_FEW, work_inputs.of_studies),
    "import_dicom": Work(_IMPORT, work_inputs.of_imports),
    "selfcheck": Work(_SELFCHECK, lambda _: None),
    "tiny": Work(_TINY, work_inputs.of_studies),
}
