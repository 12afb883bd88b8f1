"""Vectors of the patients of another cohort, by the U-Net of a final model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from absl import logging
from tqdm import tqdm

from rembrandt_featgen.cohort import layouts
from rembrandt_featgen.cohort.manifest import ManifestColumns
from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.cohort.sites import with_sites
from rembrandt_featgen.evaluation import final_unet
from rembrandt_featgen.evaluation.model_folder import FinalModel
from rembrandt_featgen.features import volume_vectors
from rembrandt_featgen.features.tables import FeatureTable, table_of_arrays
from rembrandt_featgen.segmentation import exported_unet


def find(path: str, model: FinalModel, *, layout: str, keys: Mapping[str, str], site_pattern: str = "") -> Cohort:
    """The patients of a cohort with the modalities and classes of a model; InputError as by `layouts.find_cohort`.

    Args:
      path: folder, or manifest CSV.
      model: final, of volumes.
      layout: as --layout.
      keys: names of the manifest's columns "label", "group" and "site".
      site_pattern: as --site_pattern.
    """
    columns = ManifestColumns(label=keys["label"], group=keys["group"], site=keys["site"])
    modalities = model.vectors(1).modalities
    cohort = layouts.find_cohort(path, layout, modalities, names=model.classes.names, columns=columns)
    return with_sites(cohort, site_pattern)


def digest(cohort: Cohort) -> str:
    """Of what is known of the patients and of the content of their images."""
    found = hashlib.sha256()
    for patient in cohort.patients:
        found.update(repr((patient.id, patient.label, patient.group, patient.site)).encode())
        for path in patient.images.values():
            found.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return found.hexdigest()


def vectors(cohort: Cohort, model: FinalModel, folder: str | Path, *, journal: Path, batch: int) -> FeatureTable:
    """A vector for each patient, with the columns of a model.

    Args:
      cohort: of `find`.
      model: final, of volumes.
      folder: of the model.
      journal: file that keeps each patient who is done, for a later run.
      batch: slices that are computed at a time.

    Raises:
      InputError: a volume cannot be read, or is in the study that made the model.
    """
    unet, settings = exported_unet.load(folder), model.vectors(batch)
    seen = final_unet.read_fingerprints(folder)
    lines = journal.read_text().split("\n")[:-1] if journal.exists() else []
    journal.write_text("".join(f"{line}\n" for line in lines))  # without what follows the last newline
    done = {row["patient"]: row for row in map(json.loads, lines)}
    with journal.open("a") as file:
        for patient in tqdm(cohort.patients, "vectors", unit="patient"):
            if patient.id in done:
                continue
            volumes = final_unet.volumes_of(patient, settings.modalities)
            vector = volume_vectors.vector_of(unet, volumes, settings, shown=False)
            final_unet.refuse_copies({patient.id: vector.fingerprint}, seen, "--test_cohort")
            for warning in vector.segmented.warnings:
                logging.warning("%s: %s", patient.id, warning)
            done[patient.id] = {"patient": patient.id, "numbers": vector.numbers, "empty": vector.empty}
            file.write(f"{json.dumps(done[patient.id])}\n")
            file.flush()
    rows = [done[patient.id] for patient in cohort.patients]
    empty = sum(row["empty"] for row in rows)
    if empty:
        logging.warning("no tumour is predicted in %d of %d patients", empty, len(rows))
    sites = np.array([patient.site for patient in cohort.patients], str)
    return table_of_arrays(
        np.concatenate([model.values_of(row["numbers"]) for row in rows]),
        [cohort.classes.label(patient.label) for patient in cohort.patients],
        classes=cohort.classes,
        patients=[patient.id for patient in cohort.patients],
        groups=[patient.group for patient in cohort.patients],
        sites=sites if (sites != "").any() else None,
        names=model.columns.names,
    )
