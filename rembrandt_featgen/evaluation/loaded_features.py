"""All features of a split, held in memory."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import pipelines
from rembrandt_featgen.evaluation.predictions import Samples
from rembrandt_featgen.features import streams


class LoadedFeatures(NamedTuple):
    """Features [n, h, w, channels] of a split, with label, patient and position in its volume of each slice [n]."""

    features: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    positions: np.ndarray

    @property
    def samples(self) -> Samples:
        """What the predictions table says of them."""
        return Samples(self.patients, self.positions, self.labels)


def load(folder: Path, split: str) -> LoadedFeatures:
    """Loads a split.

    Args:
      folder: of extract_features, or of generate_synthetic.
      split: "train", "validation", "test" or "synthetic".

    Raises:
      InputError: there is no feature.
    """
    batches = list(streams.features(folder, split, 64).as_numpy_iterator())
    if not batches:
        raise InputError(f"{folder} holds no features of the split {split}; delete it so that its stage is done again")
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    return LoadedFeatures(
        features=columns["feature"],
        labels=columns["label"],
        patients=pipelines.text(columns["patient"]),
        positions=columns["slice"],
    )
