"""What a final model of volumes says of the patients of another cohort."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from rembrandt_featgen.cohort import image_paths, layouts
from rembrandt_featgen.cohort.layouts import CohortOptions
from rembrandt_featgen.cohort.manifest import PATIENT, ManifestColumns
from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.cohort.sites import with_sites
from rembrandt_featgen.cohort.volumes import read_volumes
from rembrandt_featgen.core import json_files
from rembrandt_featgen.evaluation import external_report, final_unet, predictions
from rembrandt_featgen.evaluation.model_folder import FinalModel
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.features import volume_vectors
from rembrandt_featgen.nn import distribution, sharding
from rembrandt_featgen.segmentation import exported_unet
from rembrandt_featgen.segmentation.exported_unet import SegmentedVolume


def find(
    path: str,
    model: FinalModel,
    *,
    layout: str,
    keys: Mapping[str, str],
    site_pattern: str = "",
    options: CohortOptions | None = None,
) -> Cohort:
    """The patients of a cohort with the modalities and classes of a model; InputError as by `layouts.find_cohort`.

    Nobody need have drawn masks: the model predicts them.

    Args:
      path: folder, or manifest CSV.
      model: final, of volumes.
      layout: as --layout.
      keys: names of the columns "label", "group" and "site", maybe "patient", of the manifest or the table of labels.
      site_pattern: as --site_pattern.
      options: the table of labels, groups by name, and what becomes of patients who lack something.
    """
    columns = ManifestColumns(
        label=keys["label"], group=keys["group"], site=keys["site"], patient=keys.get("patient", PATIENT)
    )
    cohort = layouts.find_cohort(
        path,
        layout,
        model.modalities,
        names=model.classes.names,
        columns=columns,
        masks=False,
        options=options or CohortOptions(),
    )
    cohort = with_sites(cohort, site_pattern)
    return options.pseudonyms.of_cohort(cohort) if options and options.pseudonyms else cohort


def digest(cohort: Cohort) -> str:
    """Of what is known of the patients and of the content of their images."""
    found = hashlib.sha256()
    for patient in cohort.patients:
        found.update(repr((patient.id, patient.label, patient.group, patient.site)).encode())
        for path in patient.images.values():
            found.update(image_paths.digest(path))
    return found.hexdigest()


def predict(
    cohort: Cohort,
    model: FinalModel,
    folder: str | Path,
    *,
    journal: Path,
    batch: int,
    geometry: str = "auto",
    where: tf.distribute.Strategy | None = None,
) -> PredictionsTable:
    """A row for each patient of a model of vectors, for each slice of one of maps.

    Of several workers each does a share of the patients, in a journal of its own beside the chief's, and all return
    the rows of all.

    Args:
      cohort: of `find`.
      model: final, of volumes.
      folder: of the model.
      journal: file that keeps each patient who is done, for a later run.
      batch: slices that are computed at a time.
      geometry: of `Reading.for_new`.
      where: the strategy, of one or several workers; None for one.

    Raises:
      InputError: a volume cannot be read, or is in the study that made the model.
    """
    unet, seen = exported_unet.load(folder), final_unet.read_fingerprints(folder)
    reading = unet.reading.for_new(geometry)
    where = where or distribution.strategy(distribution.ONE)
    number, _ = distribution.workers(where)
    done = {row["patient"]: row for row in sharding.gathered(where, _of_before(journal) if number == 0 else [])[0]}
    mine = list(sharding.share_of([patient for patient in cohort.patients if patient.id not in done], where))
    before = len(done)
    with _journal_of(journal, number).open("a", encoding="utf-8") as file:
        for patient in tqdm(mine, "patients", unit="patient"):
            paths = [patient.images[name] for name in model.modalities]
            volumes = read_volumes(paths, "--test_cohort", reading)
            segmented, probabilities = _predicted(model, unet, volumes, batch=batch)
            fingerprint = volume_vectors.fingerprint(unet, segmented.prepared)
            final_unet.refuse_copies({patient.id: fingerprint}, seen, "--test_cohort")
            for warning in segmented.warnings:
                logging.warning("%s: %s", patient.id, warning)
            done[patient.id] = {
                "patient": patient.id,
                "probabilities": probabilities.tolist(),
                "empty": not segmented.mask.any(),
            }
            json_files.append_row(file, done[patient.id])
    for rows_of_worker in sharding.gathered(where, list(done.values())[before:]):
        done |= {row["patient"]: row for row in rows_of_worker}
    rows = [done[patient.id] for patient in cohort.patients]
    empty = sum(row["empty"] for row in rows)
    if empty:
        logging.warning("no tumour is predicted in %d of %d patients", empty, len(rows))
    counts = [len(row["probabilities"]) for row in rows]
    samples = predictions.Samples(
        np.repeat([patient.id for patient in cohort.patients], counts),
        np.concatenate([np.arange(count) for count in counts]),
        np.repeat([cohort.classes.label(patient.label) for patient in cohort.patients], counts),
        groups=np.repeat([patient.group for patient in cohort.patients], counts),
        sites=np.repeat([patient.site for patient in cohort.patients], counts),
    )
    return external_report.predicted_rows(
        model, samples, np.concatenate([np.array(row["probabilities"]) for row in rows])
    )


def _journal_of(journal: Path, number: int) -> Path:
    """Of a worker."""
    return journal.with_name(f"{journal.stem}-{number}{journal.suffix}") if number else journal


def _of_before(journal: Path) -> list[dict]:
    """Rows of the patients who were done before; the chief's journal takes in those of other workers."""
    rows, others = json_files.resume_journal(journal), list(journal.parent.glob(f"{journal.stem}-*{journal.suffix}"))
    with journal.open("a", encoding="utf-8") as file:
        for other in others:
            for row in json_files.resume_journal(other):
                json_files.append_row(file, row)
                rows.append(row)
            other.unlink()
    return rows


def _predicted(model, unet, volumes, *, batch) -> tuple[SegmentedVolume, np.ndarray]:
    """A segmented volume and probabilities, [1, classes] of its vector or [slices, classes] of its maps."""
    if not model.of_maps:
        vector = volume_vectors.vector_of(unet, volumes, model.vectors(batch), shown=False)
        return vector.segmented, model.probabilities(model.values_of(vector.numbers))
    segmented = exported_unet.segment(
        unet, volumes, batch=batch, each=lambda outputs: model.probabilities(outputs["feature"]), shown=False
    )
    return segmented, np.concatenate(segmented.gathered)
