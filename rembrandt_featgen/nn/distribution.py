"""The distribution strategy: one device, all devices of this host, or several hosts (`tf.distribute`).

The global batch is the same whatever the number of replicas. Replica r of R computes the rows r n // R to
(r + 1) n // R of each batch of n, and counts n_r / n of the losses, so that the sums over replicas of losses and of
gradients are those of one device. What is random is drawn for the global batch, from seed and step alone, and each
replica takes its rows: no two replicas draw the same noise, and any number of them draws what one would.

The functions below that take no strategy are for the code of a step, which runs in each replica. Without a strategy
they do nothing, at no cost: one device computes what it would without this module.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import tensorflow as tf

from rembrandt_featgen.core.errors import InputError

ONE, MIRRORED, MULTI_WORKER = STRATEGIES = ("one", "mirrored", "multi_worker")
_DEFAULT = tf.distribute.get_strategy()
_SUM = tf.distribute.ReduceOp.SUM
_EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'


@functools.lru_cache(maxsize=len(STRATEGIES))
def strategy(kind: str) -> tf.distribute.Strategy:
    """The strategy of --strategy, made once in a process: "multi_worker" before TensorFlow computes anything.

    Args:
      kind: one of `STRATEGIES`. "mirrored" takes all GPUs of this host, or all of its (logical) CPUs where it has none;
        "multi_worker" the hosts of the environment variable TF_CONFIG, for each of which it waits.

    Raises:
      InputError: there is no TF_CONFIG, or it is not one of workers.
    """
    if kind == ONE:
        return _DEFAULT
    if kind == MIRRORED:
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    _check_cluster()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise InputError(
            f"--strategy={kind}: TensorFlow was at work before the workers could be connected ({error}); run the stage "
            "as a binary of its own"
        ) from error


def _check_cluster() -> None:
    """InputError where TF_CONFIG does not name this worker among others."""
    given = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(given)
        config["cluster"]["worker"][config["task"]["index"]]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(
            f"--strategy={MULTI_WORKER} needs the environment variable TF_CONFIG, received {given!r}; on each host "
            f"give it the addresses of all workers and its own index, such as {_EXAMPLE}"
        ) from error
    if config["task"].get("type") != "worker" or set(config["cluster"]) != {"worker"}:
        raise InputError(f"TF_CONFIG={given}: there are to be workers alone, without a chief; such as {_EXAMPLE}")


def scope(where: tf.distribute.Strategy) -> AbstractContextManager:
    """In which models, optimizers and metrics are made; of one device, that of everything else."""
    return where.scope() if is_distributed(where) else nullcontext()


def is_distributed(where: tf.distribute.Strategy) -> bool:
    """Whether it is a strategy at all, of one replica or more."""
    return where is not _DEFAULT


def workers(where: tf.distribute.Strategy) -> tuple[int, int]:
    """Number of this worker, from 0, which is the chief; and how many there are."""
    resolver = where.cluster_resolver
    if resolver is None or not resolver.cluster_spec():
        return 0, 1
    return resolver.task_id, resolver.cluster_spec().num_tasks("worker")


def is_chief(where: tf.distribute.Strategy) -> bool:
    """Whether this worker is the one that writes."""
    return workers(where)[0] == 0


def any_worker(where: tf.distribute.Strategy, value: bool) -> bool:
    """Whether a value is true of any worker, as all learn: each waits here for the others."""
    if workers(where)[1] == 1:
        return value

    def of_replica():
        return tf.distribute.get_replica_context().all_reduce(_SUM, tf.constant(float(value)))

    return bool(where.experimental_local_results(where.run(of_replica))[0] > 0)


def batches(where: tf.distribute.Strategy, dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The batches of a dataset, divided among replicas, over and over; of one device, the dataset itself.

    Args:
      where: the strategy.
      dataset: of batches, the same ones on every worker. Who reads what comes says how many batches that is.

    A batch of fewer rows than there are replicas ends it with an error that carries the text of an InputError.
    """
    if not is_distributed(where):
        return dataset
    count = where.num_replicas_in_sync

    def of_worker(context):
        here = count // context.num_input_pipelines
        first = here * context.input_pipeline_id

        def pieces(*batch):
            batch = batch[0] if len(batch) == 1 else batch
            n = tf.cast(tf.shape(tf.nest.flatten(batch)[0])[0], tf.int64)
            few = tf.strings.format(
                f"InputError: a batch, the last of an epoch perhaps, has {{}} samples for {count} replicas of "
                "--strategy; take another size of batches, so that each replica has one",
                n,
            )
            with tf.control_dependencies([tf.debugging.Assert(n >= count, [few])]):  # oneDNN fails on none
                n = tf.identity(n)
            return tf.data.Dataset.range(first, first + here).map(
                lambda r: tf.nest.map_structure(lambda part: part[r * n // count : (r + 1) * n // count], batch)
            )

        divided = dataset.repeat().flat_map(pieces).prefetch(2 * here)
        options = tf.data.Options()
        options.autotune.enabled = False  # as in `data.store.untuned`
        return divided.with_options(options)

    return where.distribute_datasets_from_function(of_worker)


def validation_batches(where: tf.distribute.Strategy, dataset: tf.data.Dataset) -> tuple[tf.data.Dataset, int]:
    """The same of a finite dataset, for measures that are means of rows; and how many batches there are.

    The last batch, which may be small, is one with that before it.

    Args:
      where: the strategy, of several devices.
      dataset: of batches, of one size but for the last.
    """
    size = tf.shape(tf.nest.flatten(next(iter(dataset)))[0], tf.int64)[0]
    count = max(len(dataset) - 1, 1)

    def rows(number, *batch):
        of_batch = tf.data.Dataset.from_tensor_slices(batch)
        return of_batch.map(lambda *row: (tf.minimum(number, count - 1), row))

    regrouped = (
        dataset.enumerate()
        .map(lambda number, batch: (number, *batch) if isinstance(batch, tuple) else (number, batch))
        .flat_map(rows)
        .group_by_window(
            key_func=lambda number, row: number,
            reduce_func=lambda number, window: window.map(lambda _, row: row).batch(2 * size),
            window_size_func=lambda number: tf.where(number < count - 1, size, 2 * size),
        )
    )
    return batches(where, regrouped), count


class Share(NamedTuple):
    """The rows of the global batch that this replica has.

    Attributes:
      first, count: int32; of one device 0 and all.
      total: int32, rows of the global batch.
    """

    first: tf.Tensor | int
    count: tf.Tensor
    total: tf.Tensor

    @property
    def weight(self) -> tf.Tensor:
        """Share of the global batch, float32."""
        return tf.cast(self.count, tf.float32) / tf.cast(self.total, tf.float32)

    def part(self, mean: tf.Tensor) -> tf.Tensor:
        """What a mean over this replica's rows is of that over the global batch: the sum over replicas is that."""
        return mean if replicas() == 1 else mean * self.weight

    def of(self, draws: tf.Tensor) -> tf.Tensor:
        """This replica's rows of what was drawn for the global batch."""
        return draws if replicas() == 1 else draws[self.first : self.first + self.count]


def replicas() -> int:
    """How many there are; 1 outside of a strategy's step."""
    return 1 if tf.distribute.in_cross_replica_context() else tf.distribute.get_strategy().num_replicas_in_sync


def in_strategy() -> bool:
    """Whether this is the code of a step of a strategy, of one replica or more."""
    return tf.distribute.has_strategy() and not tf.distribute.in_cross_replica_context()


def share(batch: tf.Tensor) -> Share:
    """What this replica has of the global batch, of which `batch` are its rows."""
    count, number = tf.shape(batch)[0], replicas()
    if number == 1:
        return Share(0, count, total=count)
    total = tf.cast(total_of(tf.cast(count, tf.float32)), tf.int32)  # GPUs sum no integers
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return Share(replica * total // number, count, total=total)


def total_of(values):
    """The sum over replicas of a tensor, or of each of several; gradients go through it."""
    return values if replicas() == 1 else tf.distribute.get_replica_context().all_reduce(_SUM, values)


def moments(x: tf.Tensor, axes: Sequence[int], *, about: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mean and (population) variance over the global batch, and how many numbers each is of.

    Args:
      x: floats; sums are in float32.
      axes: which are reduced, the batch's among them.
      about: near the mean, the same in all replicas: squares are taken of what x differs from it.

    Returns:
      Three float32 tensors, the first two without the axes.
    """
    away = tf.cast(x, tf.float32) - tf.stop_gradient(about)
    count = tf.cast(tf.reduce_prod(tf.gather(tf.shape(x), axes)), tf.float32)
    count, first, second = total_of((count, tf.reduce_sum(away, axes), tf.reduce_sum(tf.square(away), axes)))
    mean = first / count
    return mean + tf.stop_gradient(about), tf.maximum(second / count - tf.square(mean), 0.0), count


def variance(x: tf.Tensor) -> tf.Tensor:
    """(Population) variance of each column [columns] over the global batch, of which x [n, columns] are some rows."""
    x = tf.cast(x, tf.float32)
    count, total = total_of((tf.cast(tf.shape(x)[0], tf.float32), tf.reduce_sum(x, 0)))
    return total_of(tf.reduce_sum(tf.square(x - total / count), 0)) / count


def assign(variable: tf.Variable, value: tf.Tensor) -> None:
    """Assigns what all replicas have computed alike: each to the copy that it holds."""
    if not in_strategy():
        variable.assign(value)
        return
    copies = tf.distribute.get_strategy().experimental_local_results(variable)
    replica = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
    copies[int(replica) % len(copies)].assign(value)


def draws(make: Callable[[tf.Tensor], tf.Tensor], batch: tf.Tensor) -> tf.Tensor:
    """This replica's rows of what `make` draws for the global batch, given its size; `batch` are its rows of that."""
    of = share(batch)
    return of.of(make(of.total))
