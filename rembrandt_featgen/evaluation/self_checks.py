"""What the self-checks of a study find: rules by which each passes, apart from the studies that it needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rembrandt_featgen.core import rundir
from rembrandt_featgen.features import run_tables, vector_preparation
from rembrandt_featgen.measures import memorisation, permutation
from rembrandt_featgen.measures.power import chance

_LEVEL = 0.05
_NOISE = 0.01  # of a generator that copies, in deviations of each channel


@dataclasses.dataclass(frozen=True)
class Finding:
    """Result of a check.

    Attributes:
      check: its name.
      passed: whether the study did what it should.
      finding: the numbers, in a sentence.
    """

    check: str
    passed: bool
    finding: str


def random_labels(report: Mapping) -> Finding:
    """Passes where no arm of a study of shuffled labels differs from chance.

    Args:
      report: report.json of that study.
    """
    rows = [row for row in report["arms"] if row["unit"] == "patient"]
    adjusted = permutation.holm([row["p_against_chance"] for row in rows])
    beyond = [row["arm"] for row, p in zip(rows, adjusted) if p < _LEVEL]
    low, high = rows[0]["ci95"]["balanced_accuracy"]
    level = chance(len(rows[0]["n"]))
    return Finding(
        check="random_labels",
        passed=low <= level <= high and not beyond,
        finding=f"balanced accuracy per patient of {rows[0]['arm']} {rows[0]['balanced_accuracy']:.2f} (95% interval "
        f"{low:.2f} to {high:.2f}, chance {level:.2f}); arms that differ from chance after Holm's adjustment: "
        f"{', '.join(beyond) or 'none'} of {len(rows)}",
    )


def planted_leaks(caught: Mapping[str, str]) -> Finding:
    """Passes where every leak was caught.

    Args:
      caught: leak to how it was caught; "" where it was not.
    """
    return Finding(
        check="planted_leak",
        passed=all(caught.values()),
        finding="; ".join(f"{leak}: {how or 'NOT caught'}" for leak, how in caught.items()),
    )


def copies_are_caught(run_dir: str | Path) -> str:
    """Audits a generator that adds 1% of noise to its training samples; says how it was caught, "" where it was not.

    Args:
      run_dir: of a fold, whose extract_features, or else extract_vectors, is done.
    """
    stage = "extract_features" if rundir.is_done(run_dir, "extract_features") else "extract_vectors"
    train, test = (run_tables.table_of_run(run_dir, stage, split, pooled=True) for split in ("train", "test"))
    preparation = vector_preparation.fit(train.values)
    training, held_out = preparation.apply(train.values), preparation.apply(test.values)
    noise = _NOISE * training.std(axis=0) * np.random.default_rng(0).standard_normal(training.shape)
    audit, _ = memorisation.audit_of_classes(
        memorisation.Labelled(training, train.labels, train.patients),
        memorisation.Labelled(held_out, test.labels, test.patients),
        memorisation.Labelled(training + noise, train.labels),
    )
    return f"caught ({len(audit.copied_patients)} patients named)" if audit.memorised else ""


def planted_signal(rows: Sequence[Mapping], difficulty: float) -> Finding:
    """Passes where the largest cohort shows the difference between the phantom's classes.

    Args:
      rows: patients, balanced_accuracy and ci95 of a study of each size, the largest last.
      difficulty: of the phantom.
    """
    accuracies = "; ".join(
        f"{row['patients']} patients: {row['balanced_accuracy']:.2f} ({row['ci95'][0]:.2f} to {row['ci95'][1]:.2f})"
        for row in rows
    )
    return Finding(
        check="planted_signal",
        passed=rows[-1]["ci95"][0] > chance(2),
        finding=f"difficulty {difficulty:g}, balanced accuracy by number of patients: {accuracies}",
    )
