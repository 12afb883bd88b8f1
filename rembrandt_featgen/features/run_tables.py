"""Features of a finished run as tables: maps of its tap, and vectors of its patients."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.cohort import patient_files
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.manifest import GROUP, SITE
from rembrandt_featgen.cohort.sites import site_of
from rembrandt_featgen.core import registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.features import stored_tables, streams
from rembrandt_featgen.features.clinical import with_clinical
from rembrandt_featgen.features.tables import FeatureTable, table_of_arrays

_BATCH = 64  # features that are read at a time


def table_of_run(
    run_dir: str | Path,
    stage: str,
    split: str,
    *,
    pooled: bool = False,
    site_pattern: str = "",
    covariates: Sequence[str] = (),
) -> FeatureTable:
    """The features of one split, in memory, with the groups, sites and clinical columns of their patients.

    Args:
      run_dir: of a run, or of a fold of a study.
      stage: "extract_features" for the maps of all slices, "extract_vectors" for a vector of each patient.
      split: train, validation or test.
      pooled: whether maps become vectors, the mean of each channel; they are never all in memory then.
      site_pattern: as --site_pattern; "" for the sites that the run knows.
      covariates: as --covariates; the run's slices were prepared with these, maybe among others.

    Raises:
      InputError: the stage is not finished, or its files are damaged, or a covariate is not known.
    """
    done = rundir.find(run_dir, stage)
    classes = Classes.of_record(done.record["classes"])
    if stage == "extract_vectors":
        table = stored_tables.load_table(done.folder / f"{split}.parquet", classes)
    else:
        table = _of_maps(done.folder, split, classes=classes, pooled=pooled)
    if (Path(run_dir) / registry.folder("prepare_slices")).is_dir():
        folder = rundir.find(run_dir, "prepare_slices").folder
        table = with_patients(table, folder, covariates=covariates)
    if not site_pattern:
        return table
    sites = np.array([site_of(patient, site_pattern) for patient in table.patients], str)
    return dataclasses.replace(table, sites=sites)


def with_patients(table: FeatureTable, slices: Path, *, covariates: Sequence[str] = ()) -> FeatureTable:
    """The table with what is known of its patients.

    Args:
      table: of patients of a run.
      slices: folder of the run's slices.
      covariates: clinical columns that the slices were prepared with; "site" is the site, as text.

    Raises:
      InputError: there is no such column, or the file is damaged.
    """
    known = patient_files.read_patients(slices)
    has_sites = any(known.site.values())
    clinical = [name for name in covariates if name.lower() != SITE]
    missing = [name for name in clinical if name not in known.covariates]
    if len(clinical) < len(covariates) and not has_sites:
        missing.append(SITE)
    if missing:
        kept = ", ".join([*known.covariates, *[SITE] * has_sites]) or "none"
        raise InputError(
            f"--covariates={','.join(covariates)}: {missing[0]} is not among what {slices} keeps of the patients "
            f"({kept}); prepare the slices with these --covariates, in another --run_dir, or correct the flag"
        )
    table = with_clinical(
        table,
        slices / patient_files.FILE,
        covariates=clinical,
        group_column=GROUP,
        site_column=SITE if has_sites else "",
        flag="--run_dir",
    )
    if len(clinical) == len(covariates) or table.sites is None:
        return table
    return dataclasses.replace(table, covariates={**table.covariates, SITE: table.sites})


def columns_of_maps(folder: Path, split: str, *, pooled: bool = False) -> dict[str, np.ndarray]:
    """All features of a split, in memory.

    Args:
      folder: of extract_features, or of generate_synthetic.
      split: train, validation, test or synthetic.
      pooled: whether maps become the mean of each channel; they are never all in memory then.

    Returns:
      feature [n, h, w, c] or [n, c], and label, patient (as bytes) and slice [n] of each.

    Raises:
      InputError: there is no feature.
    """
    batches = []
    for batch in streams.features(folder, split, _BATCH).as_numpy_iterator():
        batches.append({**batch, "feature": batch["feature"].mean((1, 2))} if pooled else batch)
    if not batches:
        raise InputError(f"{folder} holds no features of the split {split}; delete it so that its stage is done again")
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _of_maps(folder: Path, split: str, *, classes: Classes, pooled: bool) -> FeatureTable:
    columns = columns_of_maps(folder, split, pooled=pooled)
    return table_of_arrays(
        columns["feature"],
        columns["label"],
        classes=classes,
        patients=pipelines.text(columns["patient"]),
        samples=columns["slice"],
        names=[f"channel_{number}" for number in range(columns["feature"].shape[-1])],
        signed=False,  # of all taps, the last layer is a ReLU, or a maximum of what follows one
    )


def flattened(table: FeatureTable) -> FeatureTable:
    """Maps [n, h, w, c] as vectors [n, h * w * c]; the names are those of channels, with row and column."""
    height, width, _ = table.shape
    names = [f"{name}_{row}_{column}" for row in range(height) for column in range(width) for name in table.names]
    return dataclasses.replace(table, values=table.values.reshape(len(table), -1), names=tuple(names))


def middle_rows(table: FeatureTable, count: int) -> np.ndarray:
    """Rows of at most so many samples of each patient, those in the middle of its numbers, in their order.

    Args:
      table: of slices, whose numbers are `samples`.
      count: from 1.
    """
    rows = []
    for patient in np.unique(table.patients):
        of_patient = np.flatnonzero(table.patients == patient)
        of_patient = of_patient[np.argsort(table.samples[of_patient], kind="stable")]
        first = max(0, len(of_patient) - count) // 2
        rows.append(of_patient[first : first + count])
    return np.sort(np.concatenate(rows))
