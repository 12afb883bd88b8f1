"""AdamW, and what lets a training begin again with an optimizer that it has: forgetting, and a slower rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from rembrandt_featgen.nn import distribution

WARMUP = 0.05  # of the steps, over which AdamW's rate rises from zero
_GLOBAL_NORM = 1.0  # to which gradients are clipped


class Restartable(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that can be slowed down, and goes on where it was when the optimizer counts its steps from 0 again.

    Checkpoints do not hold what `restart` was given: who resumes a training gives it again.

    Args:
      schedule: from the steps done, float32, to the rate.
    """

    def __init__(self, schedule: Callable[[tf.Tensor], tf.Tensor]):
        super().__init__()
        self._schedule = schedule
        self._factor = tf.Variable(1.0, trainable=False, name="rate_factor")
        self._before = tf.Variable(0.0, trainable=False, name="steps_before")

    def __call__(self, step):
        """Rate after `step` steps since the last restart."""
        return self._factor * self._schedule(tf.cast(step, tf.float32) + self._before)

    def restart(self, factor: float, steps_before: int) -> None:
        """From now on the rate is `factor` of the schedule's, of which `steps_before` steps are done."""
        self._factor.assign(factor)
        self._before.assign(float(steps_before))

    def get_config(self) -> dict:
        """What makes another one like it."""
        return {"schedule": self._schedule}


def schedule(kind: str, rate: float, steps: int, *, warmup_steps: int = 0) -> Restartable:
    """A learning rate by step.

    Args:
      kind: "cosine", to zero, or "constant".
      rate: the largest.
      steps: in all.
      warmup_steps: the first of them, over which the rate rises linearly from zero.
    """

    def constant(step):
        return tf.constant(rate, tf.float32)

    fall = constant
    if kind == "cosine":
        fall = tf.keras.optimizers.schedules.CosineDecay(rate, max(steps - warmup_steps, 1))
    if not warmup_steps:
        return Restartable(fall)
    return Restartable(
        lambda step: fall(tf.maximum(step - warmup_steps, 0.0)) * tf.minimum(1.0, (step + 1) / warmup_steps)
    )


def adamw(
    rate: Restartable, variables: Sequence[tf.Variable], *, weight_decay: float
) -> tf.keras.optimizers.experimental.Optimizer:
    """AdamW, with gradients clipped to a global norm of 1.

    Args:
      rate: of `schedule`.
      variables: to be trained. Those of one number a channel, which are biases and scales of norms, do not decay.
      weight_decay: share of a weight that is taken off it in a step, times the learning rate.

    Returns:
      The optimizer, which has its memory already, so that a checkpoint finds it.

    Reference: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """
    optimizer = tf.keras.optimizers.AdamW(rate, weight_decay=weight_decay, global_clipnorm=_GLOBAL_NORM)
    optimizer.exclude_from_weight_decay(
        [variable for variable in variables if variable.shape.num_elements() == variable.shape[-1]]
    )
    optimizer.build(variables)
    return optimizer


def remember(optimizer: tf.keras.optimizers.Optimizer, variables: Sequence[tf.Variable]) -> None:
    """Makes an optimizer's memory now: a step that makes it as it is traced is traced a second time.

    Args:
      optimizer: of Keras' newer or legacy kind, or one of them that scales losses.
      variables: that it trains.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if isinstance(inner, tf.keras.optimizers.legacy.Optimizer):
        inner._create_all_weights(variables)
    else:
        inner.build(variables)


def make_variables(model: tf.keras.Model, truth: tf.Tensor, outputs: tf.Tensor) -> None:
    """Makes the variables of a compiled model's optimizer and metrics, for the reason that `remember` gives.

    Args:
      model: that was not trained yet, as its metrics are reset.
      truth: as of a batch of data, of any values.
      outputs: of the model for them.
    """

    def measure():
        model.compute_loss(None, truth, outputs)
        model.compute_metrics(None, truth, outputs, None)

    with model.distribute_strategy.scope():
        remember(model.optimizer, model.trainable_variables)
        if distribution.is_distributed(model.distribute_strategy):
            tf.function(model.distribute_strategy.run)(measure)  # metrics count in replicas alone
        else:
            measure()
    model.reset_metrics()


def forget(optimizer: tf.keras.optimizers.Optimizer, variables: Sequence[tf.Variable]) -> None:
    """Clears an optimizer's memory: means of gradients, and the count of steps that corrects them.

    Args:
      optimizer: whose rate is a schedule; of Keras' newer or legacy kind, or one of them that scales losses, whose
        scale is kept.
      variables: that it trains.
    """
    remember(optimizer, variables)  # now, as what is made later would still be filled from a checkpoint
    for variable in getattr(optimizer, "inner_optimizer", optimizer).variables():
        variable.assign(tf.zeros_like(variable))
