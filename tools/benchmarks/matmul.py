"""The machine's peak: products of square matrices, as large as the fastest of a few sizes."""

from __future__ import annotations

import functools

import tensorflow as tf

from benchmarks import turns

SIZES = (1024, 2048, 4096)


def flops(facts: dict) -> float:
    """Floating-point operations of a round: a multiplication and an addition for each of n^3 products."""
    return 2.0 * facts["size"] ** 3 * facts["times"]


def setup(options: dict) -> turns.Work:
    """A side: products in the type `options["precision"]`, of the size in `options["sizes"]` that is fastest."""
    products = {}
    for size in options["sizes"]:
        a = tf.cast(tf.random.stateless_normal([size, size], [0, size]), options["precision"])
        times = max(1, (max(options["sizes"]) // size) ** 3)  # each size does the same work in a round
        products[f"{size} {times}"] = functools.partial(_multiply, tf.function(tf.matmul), a, times)
    work, facts = turns.fastest(products, 3)
    size, times = map(int, facts["setting"].split())
    return turns.Work(work, {**facts, "size": size, "times": times})


def _multiply(matmul, a, times):
    for _ in range(times):
        product = matmul(a, a)
    return product.numpy()[0, 0]
