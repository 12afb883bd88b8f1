"""The predictions table: a row for each test sample, arm, amount and classifier; written and read here alone."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.measures import classification

FILE = "predictions.csv"
COLUMNS = ("patient", "sample", "label", "arm", "kind", "amount", "classifier", "chosen", "threshold")
PROBABILITY = "p_"  # before the name of a class, in the last columns


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One test sample by one classifier of one arm at one amount.

    Attributes:
      patient: id.
      sample: position of the slice in its volume.
      label: of the class; in the file its name.
      arm: such as "smote".
      kind: of the arm: "none", "classical" or "generative".
      amount: of extra samples, as the report shows it; "" for an arm that has no amounts to choose from.
      classifier: "cnn" or "linear".
      chosen: whether the validation patients chose this amount; true where there was none to choose.
      threshold: of the probability of the positive class, above which the sample is predicted positive.
      probabilities: of each class, by label.
    """

    patient: str
    sample: int
    label: int
    arm: str
    kind: str
    amount: str
    classifier: str
    chosen: bool
    threshold: float
    probabilities: tuple[float, ...]

    @property
    def positive(self) -> float:
        """Probability of the positive class, the last."""
        return self.probabilities[-1]


class Samples(NamedTuple):
    """Test samples: patient, position of the slice in its volume, and label of each, all [n]."""

    patients: np.ndarray
    positions: np.ndarray
    labels: np.ndarray


def rows(
    samples: Samples,
    positive: np.ndarray,
    *,
    arm: str,
    kind: str,
    classifier: str,
    amount: str = "",
    chosen: bool = True,
    threshold: float = classification.THRESHOLD,
) -> Iterator[Prediction]:
    """A row for each sample.

    Args:
      samples: of the test patients.
      positive: [n] in [0, 1], probability of the positive class of two.
      arm, kind, classifier, amount, chosen, threshold: as `Prediction` has them.
    """
    for patient, position, label, p in zip(samples.patients, samples.positions, samples.labels, positive):
        yield Prediction(
            patient=str(patient),
            sample=int(position),
            label=int(label),
            arm=arm,
            kind=kind,
            amount=amount,
            classifier=classifier,
            chosen=bool(chosen),
            threshold=float(threshold),
            probabilities=(1.0 - float(p), float(p)),
        )


def write(path: Path, predictions: Iterable[Prediction], classes: Classes) -> None:
    """Writes the table, probabilities and thresholds with six decimals."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *(PROBABILITY + name for name in classes.names)])
        for row in predictions:
            writer.writerow(
                [
                    row.patient,
                    row.sample,
                    classes.names[row.label],
                    row.arm,
                    row.kind,
                    row.amount,
                    row.classifier,
                    int(row.chosen),
                    f"{row.threshold:.6f}",
                    *(f"{p:.6f}" for p in row.probabilities),
                ]
            )


def read(path: Path) -> list[Prediction]:
    """Reads the table; the order of the columns of probabilities is that of the labels.

    Raises:
      InputError: it is missing, damaged or of another version.
    """
    try:
        with path.open(newline="") as file:
            return list(_parsed(csv.DictReader(file)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no table of predictions ({type(error).__name__}: {error}); delete {path.parent} to redo it"
        ) from error


def _parsed(reader: csv.DictReader) -> Iterator[Prediction]:
    columns = [name for name in reader.fieldnames or () if name.startswith(PROBABILITY)]
    labels = {name[len(PROBABILITY) :]: label for label, name in enumerate(columns)}
    for row in reader:
        yield Prediction(
            patient=row["patient"],
            sample=int(row["sample"]),
            label=labels[row["label"]],
            arm=row["arm"],
            kind=row["kind"],
            amount=row["amount"],
            classifier=row["classifier"],
            chosen=row["chosen"] == "1",
            threshold=float(row["threshold"]),
            probabilities=tuple(float(row[name]) for name in columns),
        )


def of_network(predictions: Iterable[Prediction], arm: str, classifier: str) -> list[Prediction]:
    """The rows by the classifier of one arm."""
    return [row for row in predictions if (row.arm, row.classifier) == (arm, classifier)]


def by_patient(predictions: Sequence[Prediction]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted ids, labels and probabilities of the positive class of the patients, by one network."""
    return classification.by_patient(
        np.array([row.patient for row in predictions]),
        np.array([row.label for row in predictions]),
        np.array([row.positive for row in predictions]),
    )
