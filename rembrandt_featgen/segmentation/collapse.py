"""A U-Net that predicts no tumour any more: how that is noticed, said and recovered from.

Where most pixels are of no tumour, predicting none anywhere is a place that training can fall into and not leave. What
a slice without tumour counts for (dice 1) hides it; the share of all tumour pixels that are found does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.nn import optimizers
from rembrandt_featgen.nn.checkpointing import Checkpointing, rises
from rembrandt_featgen.nn.optimizers import Restartable
from rembrandt_featgen.segmentation.class_aware import ClassAware
from rembrandt_featgen.segmentation.unet_callbacks import CrossEntropyHelp

COLLAPSED = "collapsed"  # log of each epoch: whether less than `LEAST` of the validation tumour is found
COLLAPSES = "collapses"  # log of each epoch: how many there have been
LEAST = 0.01  # share of tumour pixels found below which nothing is
MOST = 3  # collapses after which training stops
_ADVICE = (
    "take --unet_loss=dice_ce --dice_over=batch --unet_sampling=patients, more steps, or another --unet_learning_rate"
)
_SURE = 0.1  # share found that shows that a network has learnt; one that falls below `LEAST` from there has collapsed
_FIRST_STEPS = 50  # since the start or the last collapse, in which none is called
_FIRST_SHARE = 0.25  # of all steps: the same of a network that has not learnt yet, and may be slow


class Collapse(tf.keras.callbacks.Callback):
    """Notices that training has collapsed, and lets it begin again.

    An epoch is a collapse where less than 1% of all tumour pixels are found in training and in validation, after the
    first steps: 50 of a network that has found some before; of one that never has, as it may only be slow, those in
    which cross-entropy helps, and a quarter of all. Then the weights of the best epoch come back, or new initial ones
    where that epoch found nothing either; the head of a `ClassAware` begins again, the optimizer forgets, its rate is
    halved, and cross-entropy is added from then on. After the third collapse training stops, with the best epoch. What
    was done is in the history, as the logs "collapsed" (0 or 1: an epoch that finds nothing, which cannot be the best)
    and "collapses" (how many so far), so that a training that is resumed goes on as it would have.

    Args:
      checkpointing: of the training, whose callback comes after this one; its restarts are (`COLLAPSES`, `MOST`).
      steps: of an epoch.
      epochs: in all.
      rate: of the optimizer.
      help: whose cross-entropy is added.
      initial_weights: from the number of the collapse, from 1, to weights to begin again from.

    Raises:
      InputError: at the third collapse, if no epoch found anything.
    """

    def __init__(
        self,
        checkpointing: Checkpointing,
        *,
        steps: int,
        epochs: int,
        rate: Restartable,
        help: CrossEntropyHelp,
        initial_weights: Callable[[int], Sequence[np.ndarray]],
    ):
        super().__init__()
        self._checkpointing, self._steps, self._epochs = checkpointing, steps, epochs
        self._rate, self._help, self._initial_weights = rate, help, initial_weights

    def on_train_begin(self, logs=None):
        """Takes rate and cross-entropy up where a training was left."""
        at = collapsed_epochs(self._checkpointing.history)
        if at:
            self._rate.restart(0.5 ** len(at), (at[-1] + 1) * self._steps)
            self._help.keep()

    def on_epoch_begin(self, epoch, logs=None):
        """Lets training begin again if the epoch before was a collapse."""
        at = collapsed_epochs(self._checkpointing.history)
        if not at or at[-1] != epoch - 1:
            return
        best = source(self._checkpointing, epoch - 1)
        new = self._initial_weights(len(at)) if best is None else self._checkpointing.read_best()
        self.model.set_weights(new)
        if isinstance(self.model, ClassAware):
            self.model.reset_head()
        optimizers.forget(self.model.optimizer, self.model.trainable_variables)
        self.on_train_begin()

    def on_epoch_end(self, epoch, logs=None):
        """Notices a collapse and says it."""
        history = self._checkpointing.history
        at = collapsed_epochs(history)
        found = [logs["tumour_found"], logs.get("val_tumour_found", logs["tumour_found"])]
        logs[COLLAPSED] = float(found[-1] < LEAST)
        first = at[-1] + 1 if at else 0  # epoch since the last collapse
        steps = (epoch + 1 - first) * self._steps
        since = history.get("val_tumour_found", history.get("tumour_found", []))[first:]
        learnt = max(since, default=0.0) >= _SURE or (at and source(self._checkpointing, at[-1]) is not None)
        slow = max(self._help.steps, _FIRST_SHARE * self._steps * self._epochs)
        wait = _FIRST_STEPS if learnt else max(_FIRST_STEPS, slow)
        collapse = max(found) < LEAST and steps >= wait
        logs[COLLAPSES] = float(len(at) + collapse)
        if not collapse:
            return
        said = f"epoch {epoch + 1}: collapsed, {found[0]:.2%} of the tumour's pixels are found"
        best = source(self._checkpointing, epoch)
        if len(at) + 1 == MOST:
            said = f"{said}, for the {MOST}rd time: training falls back to predicting no tumour"
            if best is None:
                raise InputError(f"{said}; {_ADVICE}")
            logging.warning("%s and stops, with the weights of epoch %d; for more, %s", said, best + 1, _ADVICE)
            return
        weights = "new initial weights" if best is None else f"the weights of epoch {best + 1}"
        logging.warning(
            "%s; goes on from %s, at %g of the learning rate, with cross-entropy", said, weights, 0.5 ** (len(at) + 1)
        )


def collapsed_epochs(history: Mapping[str, Sequence[float]]) -> list[int]:
    """Indices of the epochs that were collapses, from 0."""
    return rises(history.get(COLLAPSES, []))


def source(checkpointing: Checkpointing, epoch: int) -> int | None:
    """Index of the epoch whose weights come back after a collapse in `epoch`; None for new initial ones."""
    before = {name: values[:epoch] for name, values in checkpointing.history.items()}
    if not epoch:
        return None
    best = checkpointing.best_of(before)
    return None if before[COLLAPSED][best] else best


def warn_of_nothing_found(checkpointing: Checkpointing) -> None:
    """Says it if even the best epoch finds no tumour."""
    if checkpointing.history[COLLAPSED][checkpointing.best_epoch]:
        logging.warning("U-Net: no epoch found %g%% of the validation tumour or more; %s", 100 * LEAST, _ADVICE)


def records(checkpointing: Checkpointing) -> list[dict]:
    """What is kept of each collapse: its epoch, shares found in it, and the epoch that came back (from 1) or None."""
    kept: list[dict] = []
    history = checkpointing.history
    for epoch in collapsed_epochs(history):
        best = source(checkpointing, epoch)
        record: dict = {"epoch": epoch + 1, "back_to_epoch": None if best is None else best + 1}
        record |= {name: history[name][epoch] for name in ("tumour_found", "val_tumour_found") if name in history}
        kept.append(record)
    return kept
