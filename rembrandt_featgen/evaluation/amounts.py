"""The choice of an arm's amount of extra samples by the validation patients, and its predictions of test patients."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.evaluation import predictions, trials
from rembrandt_featgen.evaluation.arms import Arm
from rembrandt_featgen.evaluation.loaded_features import LoadedFeatures
from rembrandt_featgen.evaluation.predictions import PredictionsTable
from rembrandt_featgen.evaluation.trials import Trained, Validation
from rembrandt_featgen.generation.training_set import TrainingSet


@dataclasses.dataclass(frozen=True)
class Choice:
    """An arm at the amount that suited the validation patients best.

    Attributes:
      tried: one for each amount, in their order.
      trained: the chosen one of them: of the lowest validation loss, and of the least amount among equals.
      validation_probabilities: [n, classes] of the validation samples, by the chosen one.
    """

    tried: tuple[Trained, ...]
    trained: Trained
    validation_probabilities: np.ndarray

    @property
    def amount(self) -> float | None:
        """The chosen amount; None for an arm that takes none."""
        return self.trained.amount

    def table(self, classes: Classes) -> list[dict]:
        """A row for each amount, as JSON takes it."""
        return [
            {
                "amount": one.amount,
                "extra": {classes.names[label]: count for label, count in one.extra.items()},
                "validation_loss": one.validation_loss,
                "best_epoch": one.best_epoch,
                "epochs": len(one.validation_losses),
                "chosen": one is self.trained,
            }
            for one in self.tried
        ]


def choose_amount(
    arm: Arm,
    training: TrainingSet,
    validation: Validation,
    *,
    amounts: Sequence[float],
    settings: trials.Settings,
    seed: int,
) -> Choice:
    """Trains an arm at each amount and chooses by the validation patients' `patient_log_loss`.

    Args:
      arm, training, validation, settings, seed: as for `trials.train`.
      amounts: to try; an arm that takes none is trained once.
    """
    tried = tuple(
        trials.train(arm, training, validation, amount=amount, settings=settings, seed=seed)
        for amount in (sorted(amounts) if arm.takes_amount else [None])
    )
    chosen = min(tried, key=lambda one: one.validation_loss)
    return Choice(tried, chosen, chosen.probabilities(validation.features))


def shown(amount: float | None) -> str:
    """An amount as the predictions table has it: "" for an arm that takes none."""
    return "" if amount is None else f"{amount:g}"


def predict(
    choice: Choice, arm: Arm, *, validation: Validation, test: LoadedFeatures, classes: Classes
) -> tuple[PredictionsTable, dict]:
    """Predicts the test samples by the classifier of each amount, at the thresholds that validation patients choose.

    Args:
      choice: of the arm.
      arm: whose it is.
      validation: samples of the validation patients.
      test: samples of the test patients.
      classes: of the study.

    Returns:
      Rows of the predictions table, and what stage.json says of the arm.
    """
    tables = []
    summary: dict = {}
    for trained in choice.tried:
        thresholds, chosen = trained.thresholds(validation), trained is choice.trained
        tables.append(
            predictions.rows(
                test.samples,
                trained.probabilities(test.features),
                classes=classes,
                arm=arm.name,
                kind=arm.kind,
                classifier=trained.architecture.kind,
                amount=shown(trained.amount),
                chosen=chosen,
                thresholds=thresholds,
            )
        )
        if chosen:
            of_classes = float(thresholds[1]) if classes.count == 2 else dict(zip(classes.names, thresholds.tolist()))
            summary = {"kind": arm.kind, "amount": shown(trained.amount), "threshold": of_classes}
    return predictions.join(tables), {**summary, "tried": choice.table(classes)}
