"""Files of true masks for tests that need no more of them than where tumour is."""

from pathlib import Path

import numpy as np

from rembrandt_featgen.data.truth import Truth, TruthWriter


def write(folder: Path, split: str, areas: np.ndarray) -> None:
    """`truth-<split>.npz` with the tumour pixels of each slice of a store, as if all were of one patient."""
    writer = TruthWriter()
    writer.add(
        Truth(
            "A",
            mask=np.zeros((len(areas), 1, 1), bool),
            box=np.zeros(4, np.int32),
            scaled=np.zeros(2, np.int32),
            spacing=np.ones(3),
            areas=np.asarray(areas, np.int64),
        )
    )
    writer.write(folder, split)
