"""A file of vectors for the tests of stages that take one."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd


def write(folder: Path, counts: Mapping[str, int], shift: float, **columns) -> Path:
    """radiomics.csv of four numbers, the first of which tells the classes apart.

    Args:
      folder: that is there.
      counts: class to its patients, one sample each.
      shift: of the mean of the last class, in deviations.
      columns: more of them.
    """
    labels = np.repeat(list(counts), list(counts.values()))
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(len(labels), 4)), columns=["f0", "f1", "f2", "f3"])
    table["f0"] += shift * (labels == labels[-1])
    table.insert(0, "patient", [f"p{number}" for number in range(len(labels))])
    table.insert(1, "label", labels)
    table.assign(**columns).to_csv(folder / "radiomics.csv", index=False)
    return folder / "radiomics.csv"
