"""What is no training, and of which each worker does a share: the result is that of one, to the last bit.

Batches are never divided here, but shared out whole: a network computes each as it would have alone.
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.nn import distribution

Batch = TypeVar("Batch")
Result = TypeVar("Result")
_PIECE = 2**16  # bytes of each worker that are gathered at a time, as floats, so that 100 workers take 26 MB


def gathered(where: tf.distribute.Strategy, value: Any) -> list:
    """What each worker has, by its number, as all learn it: each waits here for the others.

    Args:
      where: the strategy.
      value: what JSON can hold, floats to the last bit.
    """
    number, total = distribution.workers(where)
    if total == 1:
        return [value]
    text = np.frombuffer(zlib.compress(json.dumps(value).encode()), np.uint8)
    lengths = np.zeros(total)
    lengths[number] = len(text)
    lengths = _total_of_workers(where, lengths).astype(int)
    pieces = []
    for first in range(0, lengths.max(), _PIECE):
        mine = text[first : first + _PIECE]
        piece = np.zeros([total, min(_PIECE, lengths.max() - first)], np.float32)  # GPUs sum no integers
        piece[number, : len(mine)] = mine
        pieces.append(_total_of_workers(where, piece).astype(np.uint8))
    texts = np.concatenate(pieces, axis=1)
    return [json.loads(zlib.decompress(row[:length].tobytes())) for row, length in zip(texts, lengths)]


def _total_of_workers(where, values: np.ndarray) -> np.ndarray:
    """The sum over workers of arrays of one shape."""
    here = where.num_replicas_in_sync // distribution.workers(where)[1]

    def of_replica():
        context = tf.distribute.get_replica_context()
        first = int(tf.get_static_value(context.replica_id_in_sync_group)) % here == 0
        given = tf.constant(values if first else np.zeros_like(values))
        return context.all_reduce(tf.distribute.ReduceOp.SUM, given)

    return where.experimental_local_results(where.run(of_replica))[0].numpy()


def share_of(items: Iterable[Batch], where: tf.distribute.Strategy) -> Iterator[Batch]:
    """Those of some items that are this worker's: each in turn is another worker's."""
    return itertools.islice(items, *distribution.workers(where)[:1], None, distribution.workers(where)[1])


def in_turn(shares: Sequence[Sequence[Result]]) -> list[Result]:
    """The results of all items in their order, of those of each worker, see `share_of` and `gathered`."""
    return [shares[number % len(shares)][number // len(shares)] for number in range(sum(map(len, shares)))]


def rows_of(
    where: tf.distribute.Strategy,
    predict: Callable[[tf.data.Dataset], np.ndarray],
    batches: tf.data.Dataset,
    *,
    size: int,
) -> np.ndarray:
    """What is predicted of batches, each worker predicting some of them; all learn all rows.

    Args:
      where: the strategy.
      predict: from a dataset of one batch or more to rows of float32, as many as the batches have.
      batches: of a finite dataset.
      size: rows of each but the last.
    """
    number, total = distribution.workers(where)
    if total == 1:
        return predict(batches)
    rows = predict(batches.shard(total, number)).tolist() if number < len(batches) else []
    mine = [rows[first : first + size] for first in range(0, len(rows), size)]
    return np.concatenate([np.array(some, np.float32) for some in in_turn(gathered(where, mine))])


class LogsOfChief(tf.keras.callbacks.Callback):
    """Gives all workers the chief's logs of an epoch, so that all choose the same epoch and stop after the same one.

    They are sums over all replicas, which nothing but the order of additions could make differ; but a worker that
    stopped while others train on would leave these waiting.
    """

    def on_epoch_end(self, epoch, logs=None):
        """Replaces the logs."""
        where = self.model.distribute_strategy
        logs.update(gathered(where, {name: float(value) for name, value in logs.items()})[0])


def check_batches(
    where: tf.distribute.Strategy, flag: str, size: int, *, count: int | None = None, validation: int | None = None
) -> None:
    """InputError where a batch, or the last one of an epoch, has no row for each replica.

    Args:
      where: the strategy.
      flag: of the size of batches.
      size: its value.
      count: samples of an epoch that takes each once; None for an epoch of whole batches.
      validation: samples that Keras validates with; None for none.
    """
    number = where.num_replicas_in_sync
    if number == 1:
        return
    if size < number:
        raise InputError(
            f"{flag}={size}: a batch needs a sample for each of the {number} replicas of --strategy; take "
            f"{flag}={number} or more"
        )
    if count is not None and 0 < count % size < number:
        others = (other for other in range(number, count + 1) if not 0 < count % other < number)
        nearest = min(others, key=lambda other: abs(other - size), default=None)
        raise InputError(
            f"{flag}={size}: the last batch of the {count} samples of an epoch has {count % size}, and needs one for "
            f"each of the {number} replicas of --strategy; take "
            + (f"{flag}={nearest}" if nearest else f"--strategy={distribution.ONE}")
        )
    if validation is not None and validation < number:
        raise InputError(
            f"--strategy: there are {validation} validation samples for {number} replicas, each of which needs one; "
            f"take --strategy={distribution.ONE}, or a larger --validation_fraction"
        )
