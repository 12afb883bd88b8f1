"""Which pipeline a study's final model is, and what the study says of how it will do on patients to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rembrandt_featgen.classification import classifier_kinds
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.evaluation import contrasts, out_of_fold_runs, predictions
from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.evaluation.competitors import Pipeline
from rembrandt_featgen.evaluation.measure_rows import measure_row
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.features.table_files import listed

RULE = (
    "the classifier, arm and amount of the lowest log loss of validation patients, classes counting the same, mean "
    "over the study's tasks; no test patient's result is used"
)
PROCEDURE = "chosen"  # the arm that in each task is the pipeline that the task's own validation patients would choose


class Choice(NamedTuple):
    """A pipeline of a study.

    Attributes:
      name: as the study's choices have it, such as "ridge/smote/1".
      loss: mean validation loss; None where it was not measured.
      rule: who chose it.
      losses: of all pipelines that were measured in each task, the lowest first.
    """

    name: str
    loss: float | None
    rule: str
    losses: dict[str, float]

    @property
    def classifier(self) -> str:
        """Its name."""
        return self.name.split("/")[0]

    @property
    def pipeline(self) -> Pipeline:
        """Arm and amount."""
        _, arm, *amount = self.name.split("/")
        return Pipeline(arm, float(amount[0]) if amount else None)


def choose(choices: Sequence[Mapping], wanted: str = "", *, of_volumes: bool = False) -> Choice:
    """The final pipeline of a study.

    Args:
      choices: of each task, see `trials.run`.
      wanted: name of the one that the user wants; "" for `RULE`.
      of_volumes: whether the model will see volumes, of which no clinical column is known; else the rows of a file,
        which are vectors.

    Raises:
      InputError: the study has no such pipeline.
    """
    every = [choice["pipelines"] for choice in choices]
    names = [name for name in every[0] if all(name in one for one in every) and _is_possible(name, of_volumes)]
    if not names:
        raise InputError(
            "no pipeline of the study can be a final model, which takes volumes without clinical columns, or files of "
            "vectors; make a study of such, or of --cohort"
        )
    if wanted and wanted not in names:
        raise InputError(
            f"--final_pipeline={wanted}: the study has no such pipeline"
            + (", as a model of volumes takes no clinical columns" if of_volumes else "")
            + "; name a classifier, an arm and, where it has one, an amount, such as "
            + listed(names)
        )
    measured = {name: [one[name]["loss"] for one in every] for name in names}
    known = {
        name: float(np.mean(losses))
        for name, losses in measured.items()
        if None not in losses and np.isfinite(losses).all()
    }
    if not (wanted or known):
        raise InputError("the study has no validation losses to choose by; name a pipeline with --final_pipeline")
    losses = dict(sorted(known.items(), key=lambda entry: entry[1]))  # stable: of equal ones the study's first
    name = wanted or next(iter(losses))
    return Choice(name, losses.get(name), rule="--final_pipeline" if wanted else RULE, losses=losses)


def expected_performance(
    table: PredictionsTable,
    choices: Sequence[Mapping],
    choice: Choice,
    *,
    draws: int,
    seed: int,
    of_volumes: bool = False,
) -> dict[str, dict]:
    """Rows of measures per patient, each patient tested by a fold that never saw it.

    Args:
      table: predictions of the study.
      choices: of each task, in the order in which the table has their rows.
      choice: the final pipeline.
      draws, seed: of the bootstrap over patients.
      of_volumes: as for `choose`.

    Returns:
      "pipeline": of the final pipeline in all tasks, which was chosen on patients who are tested in other tasks;
      "procedure": of what each task's own validation patients would choose, which is what the way to choose does.
    """
    one = choice.pipeline
    chosen = table.select(classifier=choice.classifier, arm=one.arm, amount=one.shown)
    found = {"pipeline": measured(chosen, {"arm": one.arm, "amount": one.shown}, draws=draws, seed=seed)}
    if choice.rule == RULE:
        parts = []
        for (_, rows), its in zip(table.split("draw", "fold", "seed"), choices):
            best = choose([its], of_volumes=of_volumes)
            part = rows.select(classifier=best.classifier, arm=best.pipeline.arm, amount=best.pipeline.shown)
            parts.append(part)
        found["procedure"] = measured(predictions.join(parts), {"arm": PROCEDURE}, draws=draws, seed=seed)
    return found


def _is_possible(name: str, of_volumes: bool) -> bool:
    """Whether a pipeline can be a final model, see `choose`."""
    classifier, arm = name.split("/")[:2]
    return ARMS[arm].inputs == "features" if of_volumes else not classifier_kinds.kind_of(classifier).of_maps


def measured(table: PredictionsTable, head: Mapping, *, draws: int, seed: int, unit: str = "patient") -> dict:
    """A row of measures of one arm, with intervals over groups of patients.

    Args:
      table: of one arm, amount and classifier in each task.
      head: what identifies the row.
      draws, seed: of the bootstrap.
      unit: "patient", or "slice" for samples.
    """
    (runs,) = out_of_fold_runs.runs_by_arm(table.replace(arm="")).values()
    if unit == "patient":
        runs = [out_of_fold_runs.by_patient(run) for run in runs]
    estimates = out_of_fold_runs.estimates(runs, draws=draws, seed=seed, inflation=contrasts.inflation(table))
    head = {**head, "kind": kind_of(head["arm"])}
    return measure_row(head, unit, labels=runs[0].labels, estimates=estimates, classes=table.classes)


def kind_of(arm: str) -> str:
    """The kind of an arm; "none" of `PROCEDURE`."""
    return ARMS[arm].kind if arm in ARMS else "none"
