"""The stages of a run and of a study, each declared once: name, folder, inputs, and what it does.

A stage `name` is the module `rembrandt_featgen.stages.<name>` and the binary of that name. Modules are strings here, so
that this room imports none of them.
"""

from __future__ import annotations

import dataclasses

PACKAGE = "rembrandt_featgen.stages"


@dataclasses.dataclass(frozen=True)
class StageInfo:
    """A stage.

    Attributes:
      name: of its module in `stages/`.
      folder: its folder in --run_dir, in which `{kind}` stands for the kind of generator.
      title: what it does, in a few words.
      inputs: names of the stages whose folders it reads, as far as they are there.
    """

    name: str
    folder: str
    title: str
    inputs: tuple[str, ...] = ()

    @property
    def has_kinds(self) -> bool:
        """Whether it has a folder for each kind of generator."""
        return "{kind}" in self.folder

    @property
    def module(self) -> str:
        """Dotted name of its module."""
        return f"{PACKAGE}.{self.name}"


_FEATURES = ("prepare_slices", "train_unet", "extract_features")
_GENERATORS = ("train_generators", "generate_synthetic")

STAGES = {
    stage.name: stage
    for stage in (
        StageInfo("make_phantom", "phantom", "the synthetic cohort as NIfTI files (only with --cohort=phantom)"),
        StageInfo(
            "report_cohort",
            "cohort_report",
            "the cohort before anything is trained: patients, sizes, intensities, pictures, and what to look at",
            inputs=("make_phantom",),
        ),
        StageInfo(
            "prepare_slices",
            "slices",
            "split by patient; normalised slices of each split on disk",
            inputs=("make_phantom",),
        ),
        StageInfo(
            "train_unet", "unet", "the U-Net, trained or fine-tuned to segment the tumour", inputs=("prepare_slices",)
        ),
        StageInfo(
            "extract_features",
            "features",
            "features of a block of the U-Net, or of crops around the predicted tumour",
            inputs=("prepare_slices", "train_unet"),
        ),
        StageInfo(
            "extract_vectors",
            "vectors",
            "a vector for each patient, of the predicted tumour: pooled taps, numbers of shape and intensity",
            inputs=("prepare_slices", "train_unet"),
        ),
        StageInfo(
            "train_generators",
            "generator_{kind}",
            "generators of features, one for each kind of --generators",
            inputs=("prepare_slices", "extract_features"),
        ),
        StageInfo(
            "generate_synthetic",
            "synthetic_{kind}",
            "synthetic features of each class, and how many were accepted",
            inputs=(*_FEATURES, "train_generators"),
        ),
        StageInfo(
            "train_classifiers",
            "classifiers",
            "classifiers trained with and without synthetic features, tested on real ones",
            inputs=("extract_features", "generate_synthetic"),
        ),
        StageInfo(
            "export",
            "export",
            "U-Net, generator and classifier as SavedModels, which TensorFlow alone can load",
            inputs=(*_FEATURES, "train_generators", "train_classifiers"),
        ),
        StageInfo(
            "run_sweep",
            "sweep",
            "a run for each value of the --sweep_... flags, and the table that compares them",
            inputs=(*_FEATURES, *_GENERATORS, "train_classifiers"),
        ),
        StageInfo(
            "draw_figures",
            "figures",
            "the paper's figures and tables, Grad-CAM, TensorBoard's images and projector",
            inputs=(*_FEATURES, *_GENERATORS, "train_classifiers", "export", "run_sweep"),
        ),
        StageInfo(
            "write_report",
            "report",
            "report.json and index.html with the verdict of a run",
            inputs=(
                *_FEATURES,
                *_GENERATORS,
                "train_classifiers",
                "evaluate_features",
                "export",
                "draw_figures",
                "run_sweep",
            ),
        ),
        StageInfo(
            "assign_folds",
            "folds",
            "a study's folds: which patients train, validate and test",
            inputs=("make_phantom",),
        ),
        StageInfo(
            "share_slices",
            "shared_slices",
            "a study's slices, read and prepared once for all folds",
            inputs=("make_phantom", "assign_folds"),
        ),
        StageInfo(
            "write_study_report",
            "report",
            "report.json and index.html with the table of arms and the verdict of a study",
            inputs=("assign_folds", "evaluate_features"),
        ),
        StageInfo(
            "evaluate_features",
            "study",
            "a study of a table of features, or of a run's maps and vectors: arms, classifiers, and their report",
            inputs=(*_FEATURES, "extract_vectors", "generate_synthetic"),
        ),
        StageInfo("fewshot", "fewshot", "a study of a few patients of a class: what generation adds to them"),
        StageInfo(
            "fit_final_model",
            "final",
            "the study's best pipeline, fitted on all patients and exported",
            inputs=("evaluate_features",),
        ),
        StageInfo(
            "evaluate_final_model", "external", "an exported final model on patients of another cohort: its report"
        ),
        StageInfo(
            "share_synthetic",
            "shared",
            "synthetic patients in place of real ones: what is lost, what leaks; a cohort to share",
        ),
        StageInfo("pool_studies", "pooled", "several studies as one: a hierarchical estimate over their data sets"),
    )
}
# One run: one split, with and without synthetic features, and a study of its features.
RUN = (
    "make_phantom",
    "report_cohort",
    "prepare_slices",
    "train_unet",
    "extract_features",
    "train_generators",
    "generate_synthetic",
    "train_classifiers",
    "extract_vectors",
    "evaluate_features",
    "export",
    "run_sweep",
    "draw_figures",
    "write_report",
)
# A study: cross-validation, in each of whose folds every arm is trained.
FOLD = (*_FEATURES, *_GENERATORS, "extract_vectors", "evaluate_features")
# Those of them that are there for classifiers of maps, and of vectors, alone.
OF_MAPS, OF_VECTORS = ("extract_features", *_GENERATORS), ("extract_vectors",)
STUDY = ("make_phantom", "report_cohort", "assign_folds", "share_slices", *FOLD, "write_study_report")
# Stages of a run or a fold that --study_features=false leaves out of a run.
OF_STUDY = ("extract_vectors", "evaluate_features")
# The stage that --cohort_report=false leaves out.
OF_COHORT = ("report_cohort",)
# Stages that are run by themselves, on a study, or on a table.
ON_REQUEST = ("fewshot", "fit_final_model", "evaluate_final_model", "share_synthetic", "pool_studies")
# Binaries that run stages, or need none.
RUNNERS = {
    "pipeline": "all stages of a run",
    "crossvalidate": "a study: all stages of each fold, and its report",
    "selfcheck": "whether a study tells the truth: random labels, planted leaks, a planted signal",
    "export_features": "features, vectors or maps of a run as one file, for other programs",
    "import_dicom": "a cohort of a DICOM download: its series listed, NIfTI files and a manifest",
    "predict": "mask and class of a new patient, or classes of a table, from exported models alone",
}
FOLD_RUNS = "fold_runs"  # of a study: a run for each fold, in a folder of its name
SWEEP_POINTS = "sweep_points"  # of a run: a run for each point of its sweeps

# Folders of runs and studies of version 0.1 that no stage has now.
FOLDERS_OF_BEFORE = ("acgan", "arms", "classifier", "splits")

# Flags that had other names in version 0.1.
RENAMED_FLAGS = {
    "gans": "generators",
    "gan_average": "gan_ema_decay",
    "gan_batch_deviation": "gan_minibatch_stddev",
    "acgan_latent": "gan_latent",
    "acgan_epochs": "gan_epochs",
    "acgan_batch": "gan_batch",
    "acgan_balanced": "gan_balanced",
    "acgan_learning_rate": "gan_learning_rate",
    "acgan_beta1": "gan_beta1",
    "synthetic_per_grade": "synthetic_per_class",
    "sweep_gans": "sweep_generators",
    "sweep_origin": "sweep_reference",
    "grade_weight": "unet_class_weight",
    "phantom_hgg": "phantom_counts",
    "phantom_lgg": "phantom_counts",
}


def folder(name: str, kind: str = "") -> str:
    """Name of a stage's folder in --run_dir.

    Args:
      name: of the stage.
      kind: of generator, for the stages that have a folder for each.

    Raises:
      ValueError: there is no such stage, or a kind is missing.
    """
    if name not in STAGES:
        raise ValueError(f"stage must be one of {', '.join(STAGES)}, received {name!r}")
    if STAGES[name].has_kinds and not kind:
        raise ValueError(f"the stage {name} has a folder for each kind of generator; name the kind")
    return STAGES[name].folder.format(kind=kind)


# What makes a stage take less memory, and less disk, to be read after "take".
LESS_MEMORY = {
    "make_phantom": "a smaller --phantom_size or --phantom_slices",
    "prepare_slices": "a smaller --image_size",
    "share_slices": "a smaller --image_size",
    "train_unet": "a smaller --unet_batch, --unet_width or --image_size",
    "extract_features": "a smaller --extract_batch",
    "extract_vectors": "a smaller --vector_batch",
    "train_generators": "a smaller --gan_batch, --ndf and --ngf, or a deeper --tap",
    "generate_synthetic": "a smaller --generate_batch, or a deeper --tap",
    "train_classifiers": "a smaller --classifier_batch or --classifier_filters, or a deeper --tap",
    "evaluate_features": "fewer --arms, --arm_amounts or --classifiers",
    "fewshot": "fewer --draws, --few_shot_arms or --few_shot_classifiers, or a smaller --gan_batch of GANs",
    "export": "a smaller --unet_width or --ngf",
    "run_sweep": "fewer --sweep_taps or --sweep_filters",
    "draw_figures": "fewer --projector_points",
}
LESS_DISK = {
    "make_phantom": "fewer patients in --phantom_counts and --phantom_test_counts, or a smaller --phantom_size",
    "prepare_slices": "a smaller --image_size, or fewer --modalities",
    "share_slices": "a smaller --image_size, or fewer --modalities",
    "train_unet": "a smaller --unet_width",
    "extract_features": "--store_dtype=float16, --store_codec=lz4, --features_from=slices, or a deeper --tap",
    "train_generators": "a smaller --ndf and --ngf",
    "generate_synthetic": "a smaller --synthetic_per_class, or --store_dtype=float16",
    "train_classifiers": "a smaller --classifier_filters",
    "run_sweep": "fewer --sweep_taps or --sweep_filters",
    "fewshot": "fewer --draws, --few_shot_arms or --few_shot_classifiers",
}
LESS_ANYWHERE = "a smaller --image_size, or smaller batches"
