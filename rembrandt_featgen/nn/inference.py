"""Networks that are run batch by batch, on one device or on all devices of this process."""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from rembrandt_featgen.nn import distribution

Batch = TypeVar("Batch")
Result = TypeVar("Result")
_of_thread = threading.local()  # number of its device, see `over_devices`


def runner(network: tf.keras.Model) -> Callable[[tf.Tensor], np.ndarray]:
    """`network` in inference mode, as one compiled graph from a batch to its output (in `over_devices`, one of each).

    Keras' `predict_on_batch` makes a tf.data pipeline for each batch, and closing it waits for the thread that tunes
    it: here, up to half a second.
    """

    def compiled(copy):
        return tf.function(lambda batch: copy(batch, training=False), reduce_retracing=True)

    run = OnDevices(network, compiled)
    return lambda batch: run.here()(tf.convert_to_tensor(batch)).numpy()


class OnDevices:
    """What is made of a network, and of a copy of it for each other device of `over_devices`.

    Args:
      network: functional; made on one device, or under a strategy, of which `refresh` is called.
      make: from it, or a copy, to what runs it.
    """

    def __init__(self, network: tf.keras.Model, make: Callable[[tf.keras.Model], Any]):
        self._network, self._make, self._lock = network, make, threading.Lock()
        self._weights: Sequence[np.ndarray] | None = None
        self._copies: dict[int | None, tf.keras.Model] = {}
        self._made: dict[int | None, Any] = {}

    def refresh(self) -> None:
        """Gives the copies the present weights; all workers call it.

        A network that is trained under a strategy is not run as it is: to read its averages is to wait for the others.
        """
        self._weights = self._network.get_weights()
        for copy in self._copies.values():
            copy.set_weights(self._weights)

    def here(self) -> Any:
        """What was made for the device of this thread."""
        number = getattr(_of_thread, "number", None)
        with self._lock:
            if number not in self._made:
                self._made[number] = self._make(self._of_device(number))
        return self._made[number]

    def _of_device(self, number) -> tf.keras.Model:
        if number is None or (number == 0 and self._weights is None):
            return self._network
        if self._weights is None:
            self._weights = self._network.get_weights()
        self._copies[number] = copy = tf.keras.models.clone_model(self._network)
        copy.set_weights(self._weights)
        return copy


def over_devices(
    where: tf.distribute.Strategy, compute: Callable[[Batch], Result], batches: Iterable[Batch]
) -> Iterator[tuple[Batch, Result]]:
    """Batches with what is computed of them, in their order, on all devices that a strategy has in this process.

    Args:
      where: the strategy.
      compute: of a batch, by `OnDevices` or `runner`; under a strategy as many at a time as there are devices, each in
        a thread, which is outside of the strategy's scope.
      batches: whatever `compute` takes.
    """
    if not distribution.is_distributed(where):
        for batch in batches:
            yield batch, compute(batch)
        return
    devices = where.extended.worker_devices

    def on_device(number, batch):
        _of_thread.number = number
        with tf.device(devices[number]):
            return batch, compute(batch)

    with concurrent.futures.ThreadPoolExecutor(len(devices)) as pool:
        waiting: collections.deque[concurrent.futures.Future] = collections.deque()
        for number, batch in zip(itertools.cycle(range(len(devices))), batches):
            waiting.append(pool.submit(on_device, number, batch))
            if len(waiting) > len(devices):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
