"""What the self-checks of a study find: rules by which each passes, apart from the studies that it needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import norm

from rembrandt_featgen.core import rundir
from rembrandt_featgen.evaluation import error_rates, table_warnings
from rembrandt_featgen.evaluation.error_rates import Rates
from rembrandt_featgen.evaluation.simulated_studies import PLANTED, World
from rembrandt_featgen.features import run_tables, tables, vector_preparation
from rembrandt_featgen.features.tables import FeatureTable
from rembrandt_featgen.measures import memorisation, permutation, power

_LEVEL = 0.05
_NOISE = 0.01  # of a generator that copies, in deviations of each channel


@dataclasses.dataclass(frozen=True)
class Finding:
    """Result of a check.

    Attributes:
      check: its name.
      passed: whether the study did what it should; None where too few studies were simulated to say.
      finding: the numbers, in a sentence.
    """

    check: str
    passed: bool | None
    finding: str

    @property
    def outcome(self) -> str:
        """In a word or two, for a line of the log."""
        return "UNDECIDED" if self.passed is None else "passed" if self.passed else "FAILED"


def random_labels(report: Mapping) -> Finding:
    """Passes where no arm of a study of shuffled labels has an AUROC that differs from chance, 0.5.

    An arm differs by its interval over patients, taken for a normal distribution's, with Holm's adjustment for the
    number of arms and classifiers.

    Args:
      report: report.json of that study.
    """
    rows = [row for row in report["arms"] if row["unit"] == "patient"]
    defined = any(row["auroc"] is not None and None not in (row["ci95"]["auroc"] or [None]) for row in rows)
    adjusted = permutation.holm([_p_of_chance(row) for row in rows])
    beyond = [f"{row['arm']} ({row['classifier']})" for row, p in zip(rows, adjusted) if p < _LEVEL]
    first = rows[0]
    low, high = first["ci95"]["auroc"]
    return Finding(
        check="random_labels",
        passed=defined and not beyond,
        finding=f"AUROC per patient of {first['arm']} {first['auroc']:.2f} (95% interval {low:.2f} to {high:.2f}, "
        "chance 0.50); pipelines that differ from chance after Holm's adjustment: "
        f"{', '.join(beyond) or 'none'} of {len(rows)}",
    )


def _p_of_chance(row: Mapping) -> float:
    """Two-sided p-value of an AUROC against 0.5, from its 95% interval; 1 where it is not defined."""
    bounds, value = row["ci95"]["auroc"], row["auroc"]
    if value is None or bounds is None or None in bounds:
        return 1.0
    error = max((bounds[1] - bounds[0]) / (2 * norm.ppf(0.975)), 1e-9)
    return float(2 * norm.sf(abs(value - 0.5) / error))


def leaks_of_features(table: FeatureTable) -> dict[str, str]:
    """Plants two leaks in features, and reads the warnings that a study's report would have of them.

    Args:
      table: vectors of patients, without a leak.

    Returns:
      Leak to how it was caught; "" where it was not.
    """
    victim, alias, column = str(table.patients[0]), "ALIAS", "copy_of_label"
    rounded = np.char.mod("%.3e", table.values[:1]).astype(np.float32)  # four digits
    copied = dataclasses.replace(
        table.take(np.arange(len(table)) == 0), values=rounded, patients=np.array([alias]), groups=np.array([alias])
    )
    labelled = dataclasses.replace(
        table, values=np.column_stack([table.values, table.labels.astype(np.float32)]), names=(*table.names, column)
    )
    planted = {
        "features of a patient under another name, rounded": (tables.joined([table, copied]), (victim, alias)),
        "a column that copies the label": (labelled, (column,)),
    }
    before = table_warnings.warnings_of(table)
    caught = {}
    for leak, (changed, names) in planted.items():
        lines = [line for line in table_warnings.warnings_of(changed) if line not in before]
        named = any(all(name in line for name in names) for line in lines)
        caught[leak] = "caught (named in the report's warnings)" if named else ""
    return caught


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
    train, test = (vectors_of_run(run_dir, split) for split in ("train", "test"))
    preparation = vector_preparation.fit(train.values)
    training, held_out = preparation.apply(train.values), preparation.apply(test.values)
    noise = _NOISE * training.std(axis=0) * np.random.default_rng(0).standard_normal(training.shape)
    audit, _ = memorisation.audit_of_classes(
        memorisation.Labelled(training, train.labels, train.patients),
        memorisation.Labelled(held_out, test.labels, test.patients),
        memorisation.Labelled(training + noise, train.labels),
    )
    return f"caught ({len(audit.copied_patients)} patients named)" if audit.memorised else ""


def vectors_of_run(run_dir: str | Path, split: str) -> FeatureTable:
    """Vectors of a split of a run: means of its maps over positions, or else those of its patients."""
    stage = "extract_features" if rundir.is_done(run_dir, "extract_features") else "extract_vectors"
    return run_tables.table_of_run(run_dir, stage, split, pooled=True)


WORLDS = {
    "same_arm": World(classifiers=("mlp",)),  # ridge depends on no seed
    "no_information": World(shift=0.0, arm="gaussian"),
    "planted_benefit": World(arm=PLANTED, planted=20),
}
COVERED = 0.93  # share of the 95% intervals that have to hold the truth


def simulated(check: str, found: Rates) -> Finding:
    """Passes where studies of a simulated world are wrong no more often than they say.

    Args:
      check: of `WORLDS`. "same_arm": an arm against itself under other seeds; "no_information": a generator where
        numbers tell nothing of the class. Neither may be said to help or harm more often than `error_rates.allowed`.
        "planted_benefit": new real patients, of which harm may not be said as often, and help at least a third as often
        as the power that studies of that error have. The intervals of the difference and of AUROC have to hold the
        truth as often as `COVERED`, there and where nothing is planted.
      found: of that world. Of fewer than `error_rates.ENOUGH` studies nothing is said but that they are too few, unless
        more words are false than are allowed of any number.
    """
    planted = check == "planted_benefit"
    wrong = found.words.get("harmed", 0) if planted else found.false_words
    expected = power.difference_power(found.truth, found.error) if planted else 0.0
    words = ", ".join(f"{word} {times}" for word, times in found.words.items())
    few = found.studies < error_rates.ENOUGH
    passed: bool | None = wrong <= error_rates.allowed(found.studies)
    if passed:
        as_good = min(found.covered, found.arm_covered) >= COVERED and found.power() >= expected / 3
        passed = None if few else as_good
    return Finding(
        check=check,
        passed=passed,
        finding=few
        * f"too few studies to say; {error_rates.ENOUGH} are needed (--simulated_studies): "
        + f"{found.studies} simulated studies, true difference of AUROC {found.truth:+.3f}: {words}; false words "
        f"{wrong}, {error_rates.allowed(found.studies)} are allowed; 95% intervals hold the truth in "
        f"{found.covered:.1%} (difference) and {found.arm_covered:.1%} (AUROC {found.arm:.2f}) of studies"
        + (f"; power {found.power():.2f}, expected {expected:.2f}" if planted else ""),
    )


def planted_signal(rows: Sequence[Mapping], difficulty: float) -> Finding:
    """Passes where the largest cohort shows the difference between the phantom's classes.

    Args:
      rows: patients, auroc and ci95 of a study of each size, the largest last.
      difficulty: of the phantom.
    """
    found = "; ".join(
        f"{row['patients']} patients: {row['auroc']:.2f} ({row['ci95'][0]:.2f} to {row['ci95'][1]:.2f})" for row in rows
    )
    return Finding(
        check="planted_signal",
        passed=rows[-1]["ci95"][0] > 0.5,
        finding=f"difficulty {difficulty:g}, AUROC by number of patients to learn from: {found}",
    )
