"""Multinomial logistic regression with an L2 penalty, many at once, solved to convergence.

Newton's method in float64 on all problems of a chunk at once: Gram matrices and Cholesky factors have a problem axis.
Where there are more numbers than samples the solution lies in the span of the samples, and is sought there (exact).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from rembrandt_featgen.classification import softmax_losses, training_problems
from rembrandt_featgen.classification.training_problems import Problem

_CHUNK_BYTES = 128 * 2**20
_HALVINGS = 40  # of a step that does not lower the loss
_TINY = 1e-12  # added to the diagonal of Hessians: changes the steps, not where they end


@dataclasses.dataclass(frozen=True)
class RidgeSettings:
    """How far the solver goes.

    Attributes:
      tolerance: largest entry of the gradient at the solution.
      iterations: at most; few problems take more than twenty.
    """

    tolerance: float = 1e-8
    iterations: int = 200


def fit(problems: Sequence[Problem], settings: RidgeSettings, strengths: Sequence[float]) -> list[dict]:
    """Minimises mean_i w_i loss_i + strength / 2 |W|^2, with an intercept that is not penalised.

    scikit-learn's LogisticRegression has C = 1 / (strength * n) of this strength. The mean makes a strength mean the
    same for any number of samples. The focal loss is not convex: of it a stationary point is found, from zero on.

    Args:
      problems: with the same d and number of classes.
      settings: of the solver.
      strengths: above 0, of each problem.

    Returns:
      {"kernel": [d, classes], "bias": [classes]} float64 of each problem, sums over classes being 0 from three on.

    Raises:
      ValueError: a strength is not above 0.
    """
    if min(strengths, default=1.0) <= 0:
        raise ValueError(f"a ridge needs strengths above 0, received {min(strengths)}")
    results: list[dict] = [{} for _ in problems]
    # Those of nearly the same n are padded least; those of the same features share their QR.
    firsts = training_problems.first_of_features(problems)
    order = sorted(range(len(problems)), key=lambda k: (len(problems[k].labels), firsts[k]))
    for run in training_problems.chunks(order, [_bytes(problem) for problem in problems], _CHUNK_BYTES):
        solved = _fit_chunk([problems[k] for k in run], settings, [strengths[k] for k in run])
        for number, arrays in zip(run, solved):
            results[number] = arrays
    return results


def logits(arrays: dict, features: np.ndarray) -> np.ndarray:
    """[m, classes] of features [m, d]."""
    return features @ arrays["kernel"] + arrays["bias"]


def _bytes(problem: Problem) -> int:
    """What a problem takes while it is solved: its samples, thrice, and Hessians."""
    n, d = problem.features.shape
    rank, outputs = min(n, d) + 1, problem.classes - 1
    copies = training_problems.MIXED_COPIES if problem.mixing else 1
    return 8 * (copies * n * (3 * rank + 8 * problem.classes) + 3 * (rank * outputs) ** 2)


def _fit_chunk(problems, settings, strengths):
    spans: list[tuple] = []
    rows, targets = [], []
    for number, problem in enumerate(problems):
        shared = number and problem.features is problems[number - 1].features
        spans.append(spans[-1] if shared else _span(problem.features))
        mixed, its_targets = training_problems.all_mixed(problem, spans[-1][1])
        rows.append(np.concatenate([np.ones((len(mixed), 1)), mixed], 1))
        targets.append(its_targets / its_targets.sum())
    basis_of_classes = training_problems.class_basis(problems[0].classes)
    values = _solve(
        tf.constant(_padded(rows)),
        tf.constant(_padded(targets)),
        tf.constant(strengths, tf.float64),
        focusing=tf.constant([problem.focusing for problem in problems], tf.float64),
        basis=tf.constant(basis_of_classes),
        tolerance=tf.constant(settings.tolerance, tf.float64),
        iterations=tf.constant(settings.iterations),
    ).numpy()
    solved = []
    for value, (basis, _), its_rows in zip(values, spans, rows):
        value = value[: its_rows.shape[1]] @ basis_of_classes.T
        solved.append({"kernel": value[1:] if basis is None else basis @ value[1:], "bias": value[0]})
    return solved


def _span(features):
    """An orthonormal basis [d, n] of the samples' span and the samples in it; None and themselves where n >= d."""
    features = np.asarray(features, np.float64)
    if len(features) >= features.shape[1]:
        return None, features
    basis, triangle = np.linalg.qr(features.T)
    return basis, triangle.T


def _padded(arrays):
    """Arrays stacked, with zeros up to the largest: samples of no weight, numbers that are 0 for all."""
    shape = np.max([array.shape for array in arrays], 0)
    stacked = np.zeros((len(arrays), *shape))
    for place, array in zip(stacked, arrays):
        place[: array.shape[0], : array.shape[1]] = array
    return stacked


@tf.function(reduce_retracing=True)
def _solve(rows, targets, strengths, *, focusing, basis, tolerance, iterations):
    """[p, 1 + r, outputs] of rows [p, n, 1 + r], the first column being ones, and targets [p, n, classes]."""
    problems, width, outputs = tf.shape(rows)[0], tf.shape(rows)[2], tf.shape(basis)[1]
    penalty = strengths[:, None] * tf.concat([[0.0], tf.ones([width - 1], tf.float64)], 0)  # [p, 1 + r]
    focusing = focusing[:, None, None]

    def log_probabilities(values):
        return tf.nn.log_softmax(tf.matmul(tf.matmul(rows, values), basis, transpose_b=True))

    def objective(values):
        losses = softmax_losses.losses(log_probabilities(values), targets, focusing)
        return tf.reduce_sum(losses, [1, 2]) + 0.5 * tf.reduce_sum(penalty[..., None] * values**2, [1, 2])

    def curvature(log_p):
        """Hessians of the cross-entropy [p, outputs (1 + r), outputs (1 + r)], samples weighed as the loss weighs."""
        p, weights = tf.exp(log_p), softmax_losses.curvature_weights(log_p, targets, focusing)
        centred = basis[None, None] - tf.matmul(p, basis)[:, :, None]  # [p, n, classes, outputs]
        inner = tf.einsum("pnk,pnko,pnkq->pnoq", weights[..., None] * p, centred, centred)
        blocks = tf.einsum("pni,pnoq,pnj->poiqj", rows, inner, rows, optimize="optimal")
        size = outputs * width
        return tf.reshape(blocks, [problems, size, size]) + tf.linalg.diag(tf.tile(penalty, [1, outputs]) + _TINY)

    def lowered(values, step, before, slope):
        """Values after the step, halved for each problem until the loss falls by what the slope promises."""
        share = tf.ones([problems], tf.float64)
        for _ in tf.range(_HALVINGS):
            # at the solution losses differ by rounding alone
            enough = objective(values - share[:, None, None] * step) <= before - 1e-4 * share * slope + 1e-15
            if tf.reduce_all(enough):
                break
            share = tf.where(enough, share, 0.5 * share)
        return values - share[:, None, None] * step

    values = tf.zeros([problems, width, outputs], tf.float64)
    for _ in tf.range(iterations):
        tf.autograph.experimental.set_loop_options(shape_invariants=[(values, tf.TensorShape([None] * 3))])
        log_p = log_probabilities(values)
        by_output = tf.matmul(softmax_losses.gradients(log_p, targets, focusing), basis)
        slopes = tf.matmul(rows, by_output, transpose_a=True) + penalty[..., None] * values
        open_still = tf.reduce_max(tf.abs(slopes), [1, 2]) > tolerance
        if not tf.reduce_any(open_still):
            break
        factors = tf.linalg.cholesky(curvature(log_p))
        flat = tf.reshape(tf.transpose(slopes, [0, 2, 1]), [problems, outputs * width, 1])
        step = tf.reshape(tf.linalg.cholesky_solve(factors, flat), [problems, outputs, width])
        step = tf.where(open_still[:, None, None], tf.transpose(step, [0, 2, 1]), 0.0)
        values = lowered(values, step, before=objective(values), slope=tf.reduce_sum(step * slopes, [1, 2]))
    return values
