"""Flags that several stages share, and what they make of them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

from rembrandt_featgen.cohort import cohort_patients, layouts, phantom, sites
from rembrandt_featgen.cohort.manifest import GROUP, LABEL, PATIENT, SITE, ManifestColumns
from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.core import cli, memory, rundir, withheld
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data.pipelines import AUGMENTATIONS
from rembrandt_featgen.evaluation import schedulers
from rembrandt_featgen.evaluation.schedulers import Schedule
from rembrandt_featgen.features import importing
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.generation import training_set
from rembrandt_featgen.generation.gan_kinds import KINDS
from rembrandt_featgen.measures import differences
from rembrandt_featgen.nn import devices, distribution, mixed_precision
from rembrandt_featgen.stages import pseudonym_flags

OF_SCHEDULE = ("scheduler", "workers", "task_threads")  # flags of where tasks are done
_instead: list[Cohort] = []


def run_dir():
    """--run_dir."""
    return cli.flag(
        "", "Folder of the run; each stage writes into a folder of its own inside.", required=True, path=True
    )


def seed():
    """--seed."""
    return cli.flag(
        0, "Seed of everything random: the split, initial weights, augmentation, noise.", minimum=0, maximum=2**30
    )


def precision():
    """--precision."""
    return cli.flag(
        "float32",
        "Type in which networks compute; variables stay float32. bfloat16 is faster on recent CPUs and GPUs, float16 "
        "on GPUs (with loss scaling).",
        choices=mixed_precision.PRECISIONS,
    )


def device():
    """--device."""
    return cli.flag(
        devices.AUTO,
        "Where networks run: 'auto' on the GPUs that TensorFlow sees, else on the CPU; cpu; gpu; gpu:1 on the second "
        "GPU alone. The first line of the log says what was found.",
        setting=False,
    )


def tf32():
    """--tf32."""
    return cli.flag(
        True,
        "Whether GPUs may round what float32 products multiply to 10 bits (TensorFloat-32), which is faster; false is "
        "nearer to what a CPU computes.",
        setting=False,
    )


def jit():
    """--jit."""
    return cli.flag(
        False,
        "Whether XLA compiles what it can of each graph, on GPUs: the first steps take longer, results differ in their "
        "last bits, and those of GANs by the noise that XLA draws from the same seed. Measure whether it is faster on "
        "yours (tools/benchmark --device=gpu).",
        setting=False,
    )


def deterministic():
    """--deterministic."""
    return cli.flag(
        False,
        "Whether TensorFlow takes operations alone that give the same bits each time, which is slower: a run that was "
        "killed and resumed then ends as an unbroken one would, on the same machine with as many threads.",
        setting=False,
    )


def use_device(config) -> None:
    """Takes the device of a config, before TensorFlow computes anything; InputError where there is none such."""
    devices.use(
        config.device,
        precision=config.precision,
        tf32=config.tf32,
        jit=config.jit,
        deterministic=config.deterministic,
    )


def strategy():
    """--strategy."""
    return cli.flag(
        distribution.ONE,
        "Where it is computed: on one device; 'mirrored': on all GPUs of this host; 'multi_worker': on the hosts that "
        "the environment variable TF_CONFIG names, on each of which this binary is started. Batches are divided, not "
        "multiplied. An exported model runs on one device of each host, also by 'mirrored'.",
        choices=distribution.STRATEGIES,
        setting=False,
    )


def check_strategy(config) -> None:
    """InputError where several hosts are to do what runs several stages, some of which one host alone can."""
    if config.strategy == distribution.MULTI_WORKER:
        raise InputError(
            f"--strategy={config.strategy} is for stages that are run one by one: train_unet, extract_features, "
            "train_generators, train_classifiers and evaluate_final_model, each started on all hosts; run the others "
            "on one host, or take "
            f"--strategy={distribution.MIRRORED}"
        )


def cohort():
    """--cohort."""
    return cli.flag(
        phantom.COHORT, "Folder or manifest CSV of your cohort; 'phantom' makes or takes the synthetic one.", path=True
    )


def classes():
    """--classes."""
    return cli.flag(
        (),
        "Names of the classes as the cohort has them, the positive one last; the pairs LGG,HGG, benign,malignant, "
        "control,case and 0,1 need not be named.",
    )


def label_column():
    """--label_column."""
    return cli.flag(
        LABEL,
        "Column of the class, in a manifest, --labels_table or --features; of a cohort, 'label' is 'grade', too.",
    )


def labels_table():
    """--labels_table."""
    return cli.flag(
        "",
        "Table of clinical data, .csv or .tsv with a row for each patient, for the class, group, site and covariates "
        "of cohorts that have none or others; by default a layout's, such as participants.tsv of BIDS.",
        path=True,
    )


def patient_column():
    """--patient_column."""
    return cli.flag(
        PATIENT,
        "Column of the patient, in a manifest, --labels_table or --features; of --labels_table, 'patient' stands for "
        "the column that has most of the cohort's ids.",
    )


def group_pattern():
    """--group_pattern."""
    return cli.flag(
        "",
        "Regular expression whose first group finds, in a patient's id, what no split may divide, such as ^(.+)_visit, "
        "of patients whose group no column says; '(.*)' divides all. By default the visits of public data sets are "
        "known, such as BraTS-GLI-00005-000 and -001.",
    )


def incomplete():
    """--incomplete."""
    return cli.flag(
        cohort_patients.REFUSE,
        "Whether to stop at patients without a class (of --classes, if these are named), a modality or a mask, or to "
        "leave them out and say who they are.",
        choices=cohort_patients.INCOMPLETE,
    )


def group_column():
    """--group_column."""
    return cli.flag(
        GROUP,
        "Column, in a manifest, --labels_table or --features, of what no split may divide, such as a family; else the "
        "patient.",
    )


def site_column():
    """--site_column."""
    return cli.flag(SITE, "Column of the site, in a manifest, --labels_table or --features.")


def site_pattern():
    """--site_pattern."""
    return cli.flag(
        "",
        "Regular expression whose first group finds the site in a patient's id, such as TCGA_([A-Z]+)_, of patients "
        "whose site no column says.",
    )


def covariates():
    """--covariates."""
    return cli.flag(
        (),
        "Clinical columns of the manifest, of --labels_table or of --features, such as age,site: no features, but a "
        "baseline, alone and beside them.",
    )


def find_cohort(config) -> Cohort:
    """The patients of --cohort, with groups, sites and the clinical columns of --covariates where `config` has these.

    Args:
      config: of a stage that reads the cohort.

    Raises:
      InputError: as by `layouts.find_cohort`; or no site is known and --covariates names it.
    """
    if _instead:
        return _instead[-1]
    asked = getattr(config, "covariates", ())
    columns = ManifestColumns(
        label=config.label_column,
        group=config.group_column,
        site=config.site_column,
        covariates=tuple(name for name in asked if name.lower() != SITE),
        patient=config.patient_column,
    )
    names = pseudonym_flags.pseudonyms_by(config.pseudonymise, key=config.pseudonym_key, run_dir=config.run_dir)
    options = layouts.CohortOptions(config.labels_table, config.group_pattern, config.incomplete, pseudonyms=names)
    path = cohort_path(config.cohort, config.run_dir)
    found = layouts.find_cohort(
        path, config.layout, config.modalities, names=config.classes, columns=columns, options=options
    )
    found = sites.with_sites(found, config.site_pattern)
    if len(columns.covariates) < len(asked) and not any(patient.site for patient in found.patients):
        raise InputError(
            f"--covariates={','.join(asked)}: no site is known of the patients of --cohort={config.cohort}; name its "
            "column with --site_column, or give --site_pattern"
        )
    return names.of_cohort(found) if names else found


@contextlib.contextmanager
def cohort_instead(cohort: Cohort | None) -> Iterator[None]:
    """Has `find_cohort` find these patients meanwhile, as in a trial by some of them; None changes nothing."""
    before = list(_instead)
    _instead.extend([cohort] if cohort is not None else [])
    try:
        yield
    finally:
        _instead[:] = before


def cohort_path(cohort: str, run_dir: str) -> Path:
    """Where the cohort is: what --cohort names, or the phantom in the run's folder."""
    return rundir.find(run_dir, "make_phantom").folder / "cohort" if cohort == phantom.COHORT else Path(cohort)


def fresh_patients(config) -> frozenset[str]:
    """Ids of the patients of --cohort who are there for tests alone: of the phantom, those of --phantom_test_counts.

    With --pseudonymise those that `find_cohort` gave them, which is to be called first.
    """
    return frozenset(map(withheld.other, phantom.fresh_patients(cohort_path(config.cohort, config.run_dir))))


def cohort_report():
    """--cohort_report."""
    return cli.flag(
        True, "Whether a page about the cohort is written first, for you to look at; false leaves out report_cohort."
    )


def layout():
    """--layout."""
    return cli.flag("auto", "How the cohort is laid out.", choices=layouts.LAYOUTS)


def modalities():
    """--modalities."""
    return cli.flag(("flair",), "Modalities that become channels, in order.", source="paper 3.4")


def test_fraction():
    """--test_fraction."""
    return cli.flag(
        0.1, "Share of each class's patients kept for the test.", minimum=0.01, maximum=0.9, source="paper 3.4"
    )


def cv_folds():
    """--cv_folds."""
    return cli.flag(5, "Outer folds; each patient is tested in one of them.", minimum=2)


def trainings():
    """--trainings."""
    return cli.flag(
        differences.TRAININGS,
        "How often everything that is cheap, such as classifiers, is trained: with another division of the patients "
        "where the plan divides them (k-fold), else with another seed. With fewer than 5 the verdict is 'undecided'.",
        minimum=1,
    )


def margin():
    """--margin."""
    return cli.flag(
        differences.MARGIN,
        "Difference of AUROC per patient that is too small to matter: pipelines that differ by less are equivalent.",
        minimum=0.001,
        maximum=0.5,
    )


def cv_repeats():
    """--cv_repeats."""
    return cli.flag(1, "Times that the patients are divided into folds.", minimum=1)


def cv_seeds():
    """--cv_seeds."""
    return cli.flag(
        1, "Times that each fold is trained, U-Net and all, each with another seed; prefer --cv_repeats.", minimum=1
    )


def arm_amounts():
    """--arm_amounts."""
    return cli.flag(
        ("0", "1", "4"),
        "Amounts of extra samples to choose from: 0 brings each class up to the largest; a does so and adds a times "
        "the training samples, equally many of each class.",
    )


def amounts(texts: Sequence[str], flag: str = "arm_amounts") -> list[float]:
    """The amounts of --arm_amounts, or of another flag; InputError where they are none."""
    given = f"--{flag}={','.join(texts)}"
    try:
        numbers = [float(text) for text in texts]
    except ValueError as error:
        raise InputError(f"{given}: write numbers, such as 0,1,4") from error
    try:
        training_set.check_amounts(numbers)
    except ValueError as error:
        raise InputError(f"{given}: {error}") from error
    return numbers


def validation_fraction():
    """--validation_fraction."""
    return cli.flag(
        0.1,
        "Share of each class's patients for choosing epochs (and, in a study, amounts and thresholds); of a fold, the "
        "share of those not tested. The paper had none.",
        minimum=0.01,
        maximum=0.9,
    )


def augmentation():
    """--augmentation."""
    return cli.flag(
        "correct",
        "How slices are augmented: 'correct' by Table 1; 'reference' so, with the quirks of the TensorLayer code, "
        "which data/reference_augmentation.py lists (five blurring resamplings, soft masks, one elastic field for a "
        "batch, vertical shear, ...); 'standard' by milder geometry, and gamma, contrast, brightness, noise and low "
        "resolution.",
        choices=tuple(AUGMENTATIONS),
    )


def generators():
    """--generators."""
    return cli.flag(
        ("acgan",),
        f"Generators, of {', '.join(KINDS)}: each is trained and drawn from; train_classifiers, export and the "
        "report take the first, the arms of a study those that --arms names, and --sweep_generators compares.",
    )


def check_generators(config) -> tuple[str, ...]:
    """The kinds of --generators, each once; InputError where there are none or one is not known."""
    return cli.some_of("generators", config.generators, KINDS)


def with_first_generator(config):
    """`config` with the first of --generators alone: others may be added without harm."""
    return dataclasses.replace(config, generators=check_generators(config)[:1])


def features(required: bool = False):
    """--features."""
    return cli.flag(
        "",
        "Features that were made elsewhere: a .csv or .parquet file with a row for each sample and columns patient, "
        "label and numbers (maybe group, site, sample), or an .npz file of vectors or maps. Without it, "
        "evaluate_features takes what extract_features (maps) and extract_vectors made in this run, whose own split is "
        "the plan then.",
        required=required,
        path=True,
    )


def read_features(config) -> FeatureTable:
    """The features of --features, by the flags of its columns."""
    return importing.read_table(
        config.features,
        classes=config.classes,
        label_column=config.label_column,
        patient_column=config.patient_column,
        group_column=config.group_column,
        site_column=config.site_column,
        covariates=config.covariates,
        group_pattern=config.group_pattern,
        pseudonyms=pseudonym_flags.pseudonyms_by(config.pseudonymise, key=config.pseudonym_key, run_dir=config.run_dir),
    )


def components():
    """--components."""
    return cli.flag(
        0,
        "Principal components of the training vectors that stand for the columns, fewer where these vectors (or those "
        "of an inner fold) span fewer; 0: the columns.",
        minimum=0,
    )


def inner_folds():
    """--inner_folds."""
    return cli.flag(3, "Parts of the training groups by which regularisation is tuned.", minimum=2)


def scheduler():
    """--scheduler."""
    return cli.flag(
        schedulers.SERIAL,
        "Where tasks are done, with the same result: one after another by this process (serial), by processes of this "
        "machine (local), or by a cluster of Dask, whose scheduler's address this is, such as tcp://10.0.0.1:8786; "
        "evaluation/README.md tells how to start one. The latter two need rembrandt_featgen[cluster].",
        setting=False,
    )


def workers():
    """--workers."""
    return cli.flag(
        0, "Processes of --scheduler=local; 0: by the cores, --task_threads for each.", minimum=0, setting=False
    )


def task_threads():
    """--task_threads."""
    return cli.flag(
        0,
        "Threads that the numeric libraries of each process take, on which the last bits of results depend; 0: an "
        "equal share of --threads or the cores of --scheduler=local, 1 on a cluster. Of serial --threads says it.",
        minimum=0,
        setting=False,
    )


def schedule(config) -> Schedule:
    """Where the tasks of a config are done; InputError for flags that do not go together."""
    found = Schedule(
        config.scheduler,
        workers=config.workers,
        threads=config.task_threads,
        memory_limit=memory.limit() / memory.GIB,
        prepare=functools.partial(
            devices.use,
            config.device,
            precision=config.precision,
            tf32=config.tf32,
            jit=config.jit,
            deterministic=config.deterministic,
        ),
    )
    schedulers.check(found)
    return found


def bootstrap_draws():
    """--bootstrap_draws."""
    return cli.flag(2000, "Resamples of patients behind each interval.", minimum=100)


def report_title(default: str = "the name of the run's folder"):
    """--report_title, which without a value is what `default` says."""
    return cli.flag("", f"Title of the report; by default {default}.")
