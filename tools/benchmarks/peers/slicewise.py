"""Slices to augment, and the ways to go through them one by one; numpy and the standard library only."""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing
import os
from collections.abc import Callable

import numpy as np


def slices(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise and discs: images [count, size, size, 1] float32 and masks in {0, 1} of the same shape, uint8."""
    random = np.random.default_rng(0)
    images = random.normal(0.0, 1.0, (count, size, size, 1)).astype(np.float32)
    rows, columns = np.mgrid[:size, :size] - size / 2.2
    masks = (rows**2 + columns**2 < (size / 5) ** 2).astype(np.uint8)
    return images, np.broadcast_to(masks[None, ..., None], images.shape).copy()


def ways(one: Callable[[int], object], count: int, set_threads: Callable[[int], object] = lambda n: None) -> dict:
    """Ways to do `one` for each index below `count`: one after another, on threads, in forked processes.

    Args:
      one: from an index to what is made of it.
      count: how many.
      set_threads: sets how many threads the package takes for a single slice.

    Returns:
      Name to function.
    """
    cores = len(os.sched_getaffinity(0))
    pools: list = []

    def forked():
        if not pools:
            pools.append(multiprocessing.get_context("fork").Pool(cores, _become, (one, set_threads)))
        for _ in pools[0].imap(_call, range(count), max(1, count // (4 * cores))):
            pass

    def threaded():
        set_threads(1)
        with concurrent.futures.ThreadPoolExecutor(cores) as threads:
            list(threads.map(one, range(count)))

    def serial(threads):
        set_threads(threads)
        for index in range(count):
            one(index)

    return {  # processes first: they are forked before other ways start threads
        f"{cores} processes": forked,
        "one by one": functools.partial(serial, 1),
        f"one by one, each on {cores} threads": functools.partial(serial, cores),
        f"{cores} threads": threaded,
    }


_one: Callable | None = None  # of a process of `forked`


def _become(one, set_threads):
    global _one
    _one = one
    set_threads(1)
    np.random.seed(os.getpid())


def _call(index):
    if _one is None:
        raise RuntimeError("_become was not called in this process")
    return _one(index)
