"""What a final model says of new patients of a table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rembrandt_featgen.evaluation.model_folder import FinalModel
from rembrandt_featgen.evaluation.predictions import PROBABILITY, THRESHOLD
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.measures import classification, decisions


def rows(model: FinalModel, table: FeatureTable) -> pd.DataFrame:
    """A row for each sample, in the order of the table, then one for each patient, sorted by name.

    Args:
      model: that predicts.
      table: columns as the model's; labels are not used.

    Returns:
      Columns unit ("sample" or "patient"), patient, sample (-1 of a patient), p_<class> of each class, threshold (of
      the positive class of two; threshold_<class> of each of more), class: the one that is decided for. Of a patient,
      probabilities are the geometric mean of those of its samples.
    """
    of_samples = model.probabilities(table.values)
    patients, _, of_patients = classification.by_patient(table.patients, table.labels, of_samples)
    parts = {
        "sample": (table.patients, table.samples, of_samples),
        "patient": (patients, np.full(len(patients), -1), of_patients),
    }
    limits = {f"{THRESHOLD}_{name}": float(t) for name, t in zip(model.classes.names, model.thresholds)}
    if len(limits) == 2:
        limits = {THRESHOLD: float(model.thresholds[1])}
    frames = []
    for unit, (names, numbers, p) in parts.items():
        decided = np.array(model.classes.names)[decisions.decide(p, model.thresholds)]
        columns: dict = {PROBABILITY + name: column for name, column in zip(model.classes.names, p.T)}
        columns |= limits
        frames.append(pd.DataFrame({"unit": unit, "patient": names, "sample": numbers, **columns, "class": decided}))
    return pd.concat(frames, ignore_index=True)
