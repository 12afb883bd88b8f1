"""Every flagfile of flags/ is understood, by a run as by a study."""

import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from rembrandt_featgen import stages
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.core import cli, registry
from rembrandt_featgen.stages import (
    crossvalidate,
    evaluate_features,
    extract_vectors,
    fewshot,
    pipeline,
    pool_studies,
    predict,
    prepare_slices,
)

ROOT = Path(__file__).parent.parent


# Flags of paper.flags' user, of what the paper did not do, and of what changes no result.
LEFT_OPEN = {"run_dir", "cohort", "layout", "classes", "unet_weights", "unet_weights_modalities", "split_file", "seed"}
LEFT_OPEN |= {"label_column", "group_column", "site_column", "site_pattern", "covariates", "slices_from"}
LEFT_OPEN |= {
    "pseudonymise",
    "pseudonym_key",
    "labels_table",
    "patient_column",
    "group_pattern",
    "incomplete",
    "look_alikes",
}
LEFT_OPEN |= {"cross_fit", "cohort_report", "pseudonymise", "pseudonym_key"}
LEFT_OPEN |= {"test_fraction", "infogan_codes", "infogan_weight", "generate_batch", "extract_batch"}
LEFT_OPEN |= {"classifier_arms", "classifier_kinds", "export_classifier", "bootstrap_draws", "projector_points"}
LEFT_OPEN |= {"classes", "maximisation_steps", "report_title", "last_stage", "sweep_generators", "sweep_reference"}
LEFT_OPEN |= {"device", "tf32", "jit", "deterministic"}
LEFT_OPEN |= {"unet_validate_every", "unet_weight_decay"}  # do nothing by paper.flags
LEFT_OPEN |= {"strategy"}


# Of the study of a run's features, which paper.flags leaves out.
STUDIES = [evaluate_features.Config, extract_vectors.Config]
OTHERS = [module.Config for name, module in stages.modules().items() if name not in registry.OF_STUDY]
OF_STUDY, OF_OTHERS = (
    {field.name for one in several for field in dataclasses.fields(one)} for several in (STUDIES, OTHERS)
)


def read(name):
    """The config of a run by a flagfile."""
    return cli.parse(pipeline.Config, [f"--flagfile=flags/{name}.flags", "--run_dir=x"], stages.all_flags)


# Flags that are texts, and no paths.
TEXTS = {"scheduler", "label_column", "patient_column", "group_column", "group_pattern", "site_column", "site_pattern"}
TEXTS |= {"device", "report_title", "tap", "cut_class", "final_pipeline", "synthetic_to", "share"}


def test_flags_that_are_paths_are_declared_as_such():
    """So that `~` is the user's home in them; a new flag of text is either in TEXTS, or declared `path=True`."""
    names = [*registry.RUN, *registry.STUDY, *registry.ON_REQUEST, "export_features", "import_dicom", "predict"]
    texts = {
        field.name: field.metadata["path"]
        for module in stages.modules(names).values()
        for field in dataclasses.fields(module.Config)
        if isinstance(field.default, str) and not field.metadata["choices"]
    }
    assert {name for name, is_path in texts.items() if not is_path} == TEXTS
    for name, module in {"studies": pool_studies, "image": predict}.items():
        assert {field.name: field for field in dataclasses.fields(module.Config)}[name].metadata["path"]


@pytest.mark.parametrize("binary", [pipeline, crossvalidate])
@pytest.mark.parametrize("path", sorted((ROOT / "flags").glob("*.flags")), ids=lambda path: path.stem)
def test_flagfile_is_understood(path, binary, monkeypatch):
    monkeypatch.chdir(ROOT)  # flagfiles include one another from there
    given = [f"--flagfile={path}", "--run_dir=somewhere"]
    binary = {"few_shot": fewshot, "few_shot_maps": fewshot}.get(path.stem, binary)
    config = cli.parse(binary.Config, given, stages.all_flags)
    assert config.run_dir == "somewhere"
    default = binary.Config(run_dir="somewhere")
    assert config != default or path.stem == "few_shot"  # which names defaults, so that the study stays what it is


def test_recommended_departs_from_the_paper(monkeypatch):
    monkeypatch.chdir(ROOT)
    paper, ours = read("paper"), read("recommended")
    assert (paper.ndf, paper.unet_width, paper.gan_learning_rate, paper.gan_ema_decay) == (512, 64, 0.002, 0)
    assert (paper.gan_networks, paper.generate_tries, paper.gan_balanced) == ("reference", 1, False)
    assert (ours.test_counts, ours.dice_over, ours.gan_ema_decay) == ((), "batch", 0.999)
    assert (ours.gan_networks, ours.generate_tries, ours.gan_balanced) == ("correct", 10, True)
    assert ours.synthetic_per_class == paper.synthetic_per_class == 2400  # what ours does not name is the paper's


# What the recipe of November 2026 said of the U-Net; later recipes and defaults must not change it.
RECIPE_2026_11 = {
    "image_size": 240,
    "unet_width": 16,
    "unet_initializer": "he",
    "unet_epochs": 30,
    "unet_batch": 10,
    "unet_learning_rate": 1e-3,
    "unet_schedule": "cosine",
    "unet_patience": 10,
    "unet_warmup_steps": 300,
    "unet_class_weight": 0.0,
    "dice_over": "batch",
    "unet_loss": "dice",
    "unet_monitor": "iou",
    "unet_optimizer": "adam",
    "unet_sampling": "slices",
    "unet_steps": 0,
    "unet_half_size": 0.0,
    "normalise": "cohort",
    "crop": "none",
    "fit": "crop",
    "slices_in": 1,
    "mirrored_inference": "none",
    "largest_component": False,
    "augment": True,
    "augmentation": "correct",
    "precision": "bfloat16",
    "test_fraction": 0.3,
    "validation_fraction": 0.25,
}


def test_the_recipe_of_november_2026_stays_as_it_was(monkeypatch):
    monkeypatch.chdir(ROOT)
    kept = read("recipe_2026_11")
    assert {name: getattr(kept, name) for name in RECIPE_2026_11} == RECIPE_2026_11


def test_the_papers_flags_leave_no_setting_to_a_default():
    lines = (ROOT / "flags" / "paper.flags").read_text().splitlines()
    named = {line[2:].partition("=")[0] for line in lines if line.startswith("--")}
    known = {field.name for field in dataclasses.fields(pipeline.Config)}
    assert not named & LEFT_OPEN
    left_open = {name for name in known - named if not name.startswith(("phantom_", "crop_"))}
    assert left_open - (OF_STUDY - OF_OTHERS) == LEFT_OPEN
    assert not read("paper").study_features


def test_split_of_the_papers_cohort(monkeypatch):
    """61 and 40 patients (3.4): the test is the paper's; it has no validation split, and trains on 54 and 36."""
    monkeypatch.chdir(ROOT)
    patients = [
        Patient(f"{grade}{n}", grade, {}, mask=Path())
        for grade, count in (("HGG", 61), ("LGG", 40))
        for n in range(count)
    ]
    cohort = Cohort(patients, Classes.of(("LGG", "HGG")))
    split = prepare_slices.assignment_of(stages.share(prepare_slices, read("paper")), cohort)
    counts = Counter((split[patient.id], patient.label) for patient in patients)
    assert counts == {
        **{("test", "HGG"): 7, ("validation", "HGG"): 6, ("train", "HGG"): 48},
        **{("test", "LGG"): 4, ("validation", "LGG"): 4, ("train", "LGG"): 32},
    }
