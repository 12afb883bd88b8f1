"""What `device` measures: its rows in their order, and how long each may take.

A group is a process that measures some rows of a part. What is to be known first comes first: U-Net and ACGAN in each
precision, beside PyTorch eagerly, and compiled in the precision that is mostly best; the hours of the paper's run;
extraction, classifier and feeding. Extras come after all of these: ours compiled by XLA and as steps in one graph, and
PyTorch's other compiled ways.

Seconds are what a row takes on an H100 with something to spare, tracing and compiling included: by rates there (541
slices/s of the U-Net, 70 to 80 steps/s of the ACGAN), and a minute more for the first row, in which TensorFlow 2.15
compiles its kernels from PTX. Those of the rows that are no extras are less than 7.5 minutes. What a row leaves of its
time is shared by those that come after it. On CPUs each may take five times as long, and what PyTorch compiles, half a
minute of two cores each, comes last.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

PRECISIONS = ("float16", "bfloat16", "float32")  # CPUs, which have no products of float16, take it last
EAGER, COMPILED, GRAPHS = SETTINGS = ("channels_last", "channels_last, compiled", "channels_last, CUDA graphs")
_FIRST, _OTHERS, _ALL = slice(0, 1), slice(1, None), slice(None)  # of the precisions
_STARTS, _KERNELS = 7, 62  # seconds in which a process starts, and in which the first one compiles kernels
_OF_CPU = 5.0  # times as long

# Parts, "pytorch" ones of PyTorch, to rows: their way, their precisions, seconds of each.
_ORDER: tuple = (
    ("unet", [("fit", _ALL, 12)]),
    ("pytorch unet", [(EAGER, _ALL, 6), (COMPILED, _FIRST, 38)]),
    ("acgan", [("fit", _ALL, 11)]),
    ("pytorch acgan", [(EAGER, _ALL, 5), (COMPILED, _FIRST, 36)]),
    # hours of stages, in the order in which each needs what those before it leave
    ("paper", [("prepare_slices", None, 20), ("train_unet", None, 30), ("extract_features", None, 8)]
     + [("train_generators", None, 20), ("generate_synthetic", None, 8), ("train_classifiers", None, 16)]),
    ("extraction", [("conv5", _FIRST, 6), ("bare", _FIRST, 4)]),
    ("classifier", [("fit", _ALL, 5)]),
    ("pytorch classifier", [(EAGER, _ALL, 4)]),
    ("feeding", [("unet correct", None, 3), ("acgan float32", None, 3), ("classifier float32", None, 3)]),
)  # fmt: skip
_EXTRAS: tuple = (
    ("unet", [("jit", _FIRST, 35), ("loop", _FIRST, 10)]),
    ("acgan", [("jit", _FIRST, 35), ("loop", _FIRST, 10)]),
    ("pytorch unet", [(GRAPHS, _FIRST, 38)]),
    ("pytorch acgan", [(GRAPHS, _FIRST, 36)]),
    ("classifier", [("jit", _ALL, 10)]),
    ("extraction", [("conv5", _OTHERS, 5), ("bare", _OTHERS, 3)]),
    ("unet", [("jit", _OTHERS, 35), ("loop", _OTHERS, 10)]),
    ("acgan", [("jit", _OTHERS, 35), ("loop", _OTHERS, 10)]),
    ("pytorch classifier", [(COMPILED, _ALL, 20), (GRAPHS, _ALL, 20)]),
    ("pytorch unet", [(COMPILED, _OTHERS, 38), (GRAPHS, _OTHERS, 38)]),
    ("pytorch acgan", [(COMPILED, _OTHERS, 36), (GRAPHS, _OTHERS, 36)]),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One speed, or the hours of a stage.

    Attributes:
      name: "<precision> <way>" of ours, "pytorch <precision>, <setting>", or a stage of the paper's run.
      seconds: its budget.
      extra: whether it comes after all that are not.
    """

    name: str
    seconds: float
    extra: bool = False

    def begun(self, kernels: bool = False) -> Row:
        """This row where a process starts with it, and compiles the kernels of all."""
        return dataclasses.replace(self, seconds=self.seconds + _STARTS + _KERNELS * kernels)


@dataclasses.dataclass(frozen=True)
class Group:
    """A process of a part, and the rows that it measures in their order."""

    title: str
    rows: tuple[Row, ...]

    @property
    def part(self) -> str:
        """Its network, or what else it is of."""
        return self.title.removeprefix("pytorch ")

    @property
    def peer(self) -> bool:
        """Whether it is PyTorch's."""
        return self.part != self.title


def groups(device: str, peers: bool = True) -> list[Group]:
    """All that is measured, the most important first.

    Args:
      device: "cuda" or "cpu".
      peers: whether PyTorch is.
    """
    precisions = PRECISIONS if device == "cuda" else PRECISIONS[::-1]
    found: list[Group] = []
    for extra, parts in ((False, _ORDER), (True, _EXTRAS)):
        for title, ways in parts:
            group = Group(title, ())
            rows = [
                Row(_name(group.peer, precision, way), seconds, extra)
                for way, which, seconds in (ways if device == "cuda" else _of_cpu(ways, extra))
                for precision in (precisions[which] if which else [""])
            ]
            if rows and (peers or not group.peer):
                rows[0] = rows[0].begun(kernels=device == "cuda" and not found)
                found.append(dataclasses.replace(group, rows=tuple(rows)))
    return found


def _of_cpu(ways, extra):
    """The ways of a part there are on a CPU, where all that is compiled is an extra."""
    for way, which, seconds in ways:
        if way == COMPILED and extra:
            yield way, _ALL, _OF_CPU * seconds
        elif way not in (COMPILED, GRAPHS):
            yield way, which, _OF_CPU * seconds


def _name(peer, precision, way) -> str:
    return f"pytorch {precision}, {way}" if peer else f"{precision} {way}".strip()


def limit(left: float, row: Row, later: Sequence[Row]) -> float:
    """Seconds that a row may take: its own, and its share of what those before it have left; no more than are left.

    Args:
      left: seconds until the end.
      row: the row.
      later: rows that come after it; extras among them share nothing with a row that is none.
    """
    wanted = row.seconds + sum(other.seconds for other in later if row.extra or not other.extra)
    return min(left, row.seconds * max(1.0, left / wanted))
