"""A finished study, of a table of features or of volumes, as its final model needs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from rembrandt_featgen.core import registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import predictions, study_folds
from rembrandt_featgen.evaluation.predictions import PredictionsTable


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """A finished study.

    Attributes:
      found: the stage that made its plan.
      digests: of each other thing that the final model depends on, by name.
      choices: of each task, see `trials.run`.
      predictions: of all tasks, in their order.
      settings: flags of evaluate_features, by name.
      stages: of a study of volumes, flags of each stage of its first fold, by name (of a generator's with "/" and its
        kind); {} of a table.
      division: of a study of volumes, flags of assign_folds, by name.
      cohort: of a study of volumes, `shared_slices.content_digest` of what it was made of; "" of a table.
    """

    found: rundir.Found
    digests: dict[str, str]
    choices: list[dict]
    predictions: PredictionsTable
    settings: Mapping
    stages: Mapping[str, Mapping] = dataclasses.field(default_factory=dict)
    division: Mapping = dataclasses.field(default_factory=dict)
    cohort: str = ""


def read(run_dir: str) -> Study:
    """The study in a folder; InputError where there is none whose final model can be fitted."""
    if rundir.is_done(run_dir, "evaluate_features"):
        return _of_table(run_dir)
    if rundir.is_done(run_dir, "assign_folds"):
        return _of_folds(run_dir)
    raise InputError(
        f"--run_dir={run_dir}: there is no finished study in it; run "
        "python -m rembrandt_featgen.stages.evaluate_features --features=FILE, or crossvalidate, with this "
        "--run_dir first"
    )


def _of_table(run_dir) -> Study:
    found = rundir.find(run_dir, "evaluate_features")
    if not found.record["config"]["features"]:
        raise InputError(
            f"--run_dir={run_dir}: this study is of the vectors of one run, whose U-Net saw its training patients "
            "alone; make a study of --features, or of all patients with crossvalidate"
        )
    return Study(
        found,
        digests={},
        choices=found.record["figures"]["choices"],
        predictions=predictions.read(found.folder / predictions.FILE),
        settings=found.record["config"],
    )


def _of_folds(run_dir) -> Study:
    assigned = rundir.find(run_dir, "assign_folds")
    entries = assigned.record["figures"]["folds"]
    homes = [Path(run_dir) / registry.FOLD_RUNS / entry["name"] for entry in entries]
    undone = [home.name for home in homes if not rundir.is_done(home, "evaluate_features")]
    if undone:
        raise InputError(
            f"--run_dir={run_dir}: {len(undone)} of {len(homes)} folds are not finished, such as {undone[0]}; repeat "
            "the command that made the study, which resumes"
        )
    of_first = study_folds.records_of(homes[0])
    digests = {home.name: rundir.find(home, "evaluate_features").digest for home in homes}
    folds = study_folds.read_folds(run_dir, assigned.record)
    return Study(
        assigned,
        digests=digests,
        choices=[choice for fold in folds for choice in fold.records["evaluate_features"]["figures"]["choices"]],
        predictions=predictions.join([fold.predictions for fold in folds]),
        settings=folds[0].records["evaluate_features"]["config"],
        stages={"/".join(filter(None, name)): done["config"] for name, done in of_first.items()},
        division=assigned.record["config"],
        cohort=folds[0].records["prepare_slices"]["inputs"]["cohort"],
    )
