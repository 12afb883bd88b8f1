"""Features that were made elsewhere, read into a `FeatureTable`: a .csv or .parquet file with a row for each sample, or
an .npz file of vectors or maps.

Columns `patient` and `label` are needed; `group`, `site` and `sample` may be there; a column `split` is not used, as
plans divide patients. Every other column of numbers is a feature. An .npz file has an array `features` [n, d] or
[n, h, w, c], arrays of the above names [n], and maybe `names` of the last axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from rembrandt_featgen.cohort.classes import infer, without_decimals
from rembrandt_featgen.cohort.manifest import GROUP, LABEL, PATIENT, SITE
from rembrandt_featgen.cohort.pseudonyms import Pseudonyms
from rembrandt_featgen.cohort.splits import SPLITS
from rembrandt_featgen.cohort.visit_names import check_alike, groups_by_name
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.features import stored_tables, synthetic_files
from rembrandt_featgen.features.informative_columns import informative
from rembrandt_featgen.features.table_files import listed, shown
from rembrandt_featgen.features.table_sources import Source, open_source
from rembrandt_featgen.features.tables import FeatureTable, in_float32, table_of_arrays, twins

SAMPLE, SPLIT = "sample", "split"
DEFAULTS = {"label": LABEL, "patient": PATIENT, "group": GROUP, "site": SITE}  # names of columns, as of manifests
_MOST_CLASSES = 50
_POOR_DICE = 0.5  # as on the page of a run


class Imported(NamedTuple):
    """What was read.

    Attributes:
      table: the features.
      missing: number of its values that are missing.
      left_out: why columns are not among the features, to their names.
    """

    table: FeatureTable
    missing: int
    left_out: dict[str, tuple[str, ...]]


def read_table(
    path: str | Path,
    *,
    classes: Sequence[str] = (),
    label_column: str = DEFAULTS["label"],
    patient_column: str = DEFAULTS["patient"],
    group_column: str = DEFAULTS["group"],
    site_column: str = DEFAULTS["site"],
    covariates: Sequence[str] = (),
    group_pattern: str = "",
    pseudonyms: Pseudonyms | None = None,
    flag: str = "--features",
) -> FeatureTable:
    """Reads features that were made elsewhere, and logs what was missing or left out; see `import_table`."""
    read = import_table(
        path,
        classes=classes,
        columns={"label": label_column, "patient": patient_column, "group": group_column, "site": site_column},
        covariates=covariates,
        group_pattern=group_pattern,
        pseudonyms=pseudonyms,
        flag=flag,
    )
    for line in summary(read, f"{flag}={path}"):
        logging.info("%s", line)
    return read.table


def import_table(
    path: str | Path,
    *,
    classes: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    covariates: Sequence[str] = (),
    group_pattern: str = "",
    pseudonyms: Pseudonyms | None = None,
    flag: str = "--features",
) -> Imported:
    """Reads features that were made elsewhere.

    Args:
      path: .csv, .parquet or .npz.
      classes: names of --classes, the positive one last; none to take a pair that is known.
      columns: names of the columns of "label", "patient", "group" and "site"; by default these. Of a name that was
        chosen, the column must be there; without a group, visits of a patient by their names are one.
      covariates: columns that are no features.
      group_pattern: of --group_pattern, which finds groups in names instead.
      pseudonyms: that the table has in place of patients' ids and groups; None for these.
      flag: for messages.

    Returns:
      The table; columns that are constant, empty or the same as another are not among its features.

    Raises:
      InputError: the file cannot be used; one line says why and what to do.
    """
    path, chosen = Path(path), {**DEFAULTS, **(columns or {})}
    source = open_source(path, flag)
    where = f"{flag}={path}"
    keys = {name: needed_column(source, name, chosen[name]) for name in ("patient", "label")}
    group = optional_column(source, "group", chosen["group"])
    if group is not None:
        keys["group"] = group
    for name in keys:
        empty = np.flatnonzero(keys[name] == "")
        if len(empty):
            raise InputError(f"{where}: row {empty[0] + source.first_row} has no {name}; fill it in, or leave it out")
    synthetic_files.refuse(path, where, patients=keys["patient"], split=source.texts(SPLIT))
    check_alike(np.unique(keys["patient"]).tolist(), where)
    group = groups_of_visits(keys["patient"], group_pattern) if group is None else group
    check_alike(np.unique(group).tolist(), where, "groups")
    sites = optional_column(source, "site", chosen["site"])
    check_alike([] if sites is None else np.unique(sites).tolist(), where, "sites")
    if pseudonyms:
        keys["patient"], group, sites = pseudonyms.of_columns(keys["patient"], group, sites, where=where)
    texts = sorted(set(keys["label"].tolist()))
    if len(texts) > _MOST_CLASSES:
        raise InputError(
            f"{where}: the column {chosen['label']!r} has {len(texts)} different values, such as {listed(texts)}; name "
            "a column of classes with --label_column, or make classes of its values"
        )
    found = infer(classes, texts, where)
    labels = np.array([found.label(found.match(text)) for text in keys["label"]], np.int64)
    absent = sorted(set(range(found.count)) - set(labels.tolist()))
    if absent:
        raise InputError(
            f"{where} has no sample of class {found.names[absent[0]]}; classes need samples each: correct labels, or "
            "--classes"
        )
    special = {*(name.casefold() for name in [*DEFAULTS.values(), *chosen.values()]), SAMPLE, SPLIT}
    clinical = {name: _covariate(source, name, chosen["site"]) for name in covariates}
    values, names = source.features(special | {name.casefold() for name in covariates})
    left_out = dict(source.left_out)
    others = [
        name for name in (*DEFAULTS.values(), SPLIT) if name not in chosen.values() and source.texts(name) is not None
    ]
    if others:
        left_out["as their names say whose a row is"] = tuple(others)
    if values.ndim == 2:
        values, names, reasons = informative(values, names, where)
        left_out |= reasons
    samples = source.whole_numbers(SAMPLE)
    try:
        table = table_of_arrays(
            values,
            labels,
            classes=found,
            patients=keys["patient"],
            groups=group,
            sites=sites,
            samples=samples,
            names=names,
            covariates=clinical,
        )
    except ValueError as error:
        raise InputError(f"{where}: {error}; correct the file") from error
    check_samples(table, where)
    return Imported(table, table.missing, left_out)


def read_split(path: str | Path, flag: str = "--features") -> np.ndarray:
    """[n] text: the column `split` of features made elsewhere, in the order of `read_table`.

    Args:
      path: as for `read_table`.
      flag: for messages.

    Raises:
      InputError: there is no such column, or it holds something else than train, validation and test.
    """
    source = open_source(Path(path), flag)
    texts = needed_column(source, SPLIT, SPLIT)
    odd = np.flatnonzero(~np.isin(texts, SPLITS))
    if len(odd):
        raise InputError(
            f"{flag}={path}: row {odd[0] + source.first_row} has split {shown(texts[odd[0]])}, which is none of "
            f"{', '.join(SPLITS)}; correct it"
        )
    return texts


def trained_on(path: str | Path, flag: str = "--features") -> str:
    """A warning where the column `split` says that some of the patients trained what computed the features; else "".

    A column cannot say what computed the features: each table made by hand, as of radiomics that nothing learnt, that
    has train or validation in such a column is warned of for nothing; hence the "if" of the line. Of the three tables
    of radiomics and three manifests of the real data that tests know, none has the column.

    Args:
      path: as for `read_table`.
      flag: for messages.
    """
    texts = open_source(Path(path), flag).texts(SPLIT)
    counts = {} if texts is None else {name: int((texts == name).sum()) for name in SPLITS[:2]}
    seen = [f"{count} of split {name}" for name, count in counts.items() if count]
    if texts is None or not seen:
        return ""
    return (
        f"{flag}={path}: of {len(texts)} samples {' and '.join(seen)} are studied like others, and tested, too: if a "
        "network that computed the features, as the U-Net of a run, was trained or chosen by these patients, figures "
        "flatter and are not those of new patients; export features of the others alone, by --splits=test"
    )


def made_by_poor_unet(path: str | Path, flag: str = "--features") -> str:
    """A warning where a table that `export_features` wrote is of a U-Net that finds little; else "".

    Args:
      path: as for `read_table`.
      flag: for messages.
    """
    dice = stored_tables.unet_dice(Path(path))
    if dice is None or dice >= _POOR_DICE:
        return ""
    what = "found nothing" if dice < 0.005 else "segments poorly"
    return (
        f"{flag}={path}: the U-Net that computed these features {what} (mean dice of test volumes {dice:.2f}), so they "
        "may say little about the tumour."
    )


def read_synthetic(path: str | Path, table: FeatureTable, flag: str = "--synthetic") -> tuple[np.ndarray, np.ndarray]:
    """Reads samples that somebody else's generator made.

    Args:
      path: .csv, .parquet or .npz as for `read_table`, with a label but no patient needed; its columns, in any order,
        must have those of `table`, and others are not used.
      table: the real features.
      flag: for messages.

    Returns:
      Features [n, *shape] float32, columns in the order of `table`, NaN where missing; labels [n] int64.

    Raises:
      InputError: columns, shapes or classes do not fit the table, or the file cannot be used.
    """
    path = Path(path)
    source = open_source(path, flag)
    where = f"{flag}={path}"
    texts = needed_column(source, "label", DEFAULTS["label"])
    matched = [table.classes.match(text) for text in texts]
    if not all(matched):
        row = matched.index("")
        raise InputError(
            f"{where}: row {row + source.first_row} has label {shown(texts[row])}, which is none of "
            f"{', '.join(table.classes.names)}; correct it"
        )
    values = source.named(table.names)
    if values.shape[1:] != table.shape:
        raise InputError(
            f"{where}: samples have shape {list(values.shape[1:])}, the real features {list(table.shape)}; make "
            "them alike"
        )
    try:
        return in_float32(values), np.array([table.classes.label(name) for name in matched], np.int64)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def summary(read: Imported, where: str) -> list[str]:
    """Lines on what was read, missing and left out."""
    table = read.table
    counts = {name: len(set(table.patients[table.labels == i])) for i, name in enumerate(table.classes.names)}
    patients = ", ".join(f"{count} {name}" for name, count in counts.items())
    what = f"maps {'x'.join(map(str, table.shape))}" if table.is_map else f"{table.shape[0]} features"
    lines = [f"{where}: {len(table)} samples with {what}, patients: {patients}"]
    if read.missing:
        share = read.missing / table.values.size
        columns = int(np.isnan(table.values).any(0).sum())
        lines.append(
            f"{where}: {read.missing} values are missing ({share:.1%}), in {columns} column{'s' * (columns != 1)}"
        )
    pairs = twins(table)
    if pairs:
        lines.append(
            f"{where}: {len(pairs)} sample{'s have' if len(pairs) != 1 else ' has'} all values of a sample of another "
            f"group, such as those of {' and '.join(pairs[0])}: a patient under two names leaks from training "
            "into the test"
        )
    for why, names in read.left_out.items():
        lines.append(
            f"{where}: {len(names)} column{'s are' if len(names) != 1 else ' is'} left out, {why}: {listed(names)}"
        )
    return lines


def groups_of_visits(patients: np.ndarray, pattern: str = "") -> np.ndarray:
    """[n] groups of [n] patients whom no column puts into any: those whose visits they are by their names.

    Args:
      patients: [n] text.
      pattern: of --group_pattern; "" for names as public data sets have them.
    """
    group_of = groups_by_name(np.unique(patients).tolist(), pattern)
    return np.array([group_of[name] for name in patients.tolist()], str)


def check_samples(table: FeatureTable, where: str) -> None:
    """InputError where two samples of a patient have one number, as if a patient were tested twice."""
    if len(set(zip(table.patients, table.samples))) < len(table):
        raise InputError(f"{where}: a patient has two rows of one number in the column sample; number them apart")


def needed_column(source: Source, name: str, column: str) -> np.ndarray:
    """A column that says whose a row is; InputError where it is not there."""
    texts = source.texts(column)
    if texts is None:
        raise InputError(f"{source.where} has no column {column!r}; add it, or name another with --{name}_column")
    return np.array(without_decimals(texts.tolist()), str) if name == "label" else texts


def optional_column(source: Source, name: str, column: str) -> np.ndarray | None:
    """The same, but None for one that is not there and was not asked for."""
    return source.texts(column) if column == DEFAULTS[name] else needed_column(source, name, column)


def _covariate(source: Source, name: str, site: str) -> np.ndarray:
    """A clinical column of numbers or of text; the site is text, whatever it looks like."""
    column = None if name.casefold() == site.casefold() else source.numbers(name)
    column = source.texts(name) if column is None else column
    if column is None:
        raise InputError(
            f"{source.where} has no column {name!r}, which --covariates names; add it, or correct the flag"
        )
    return column
