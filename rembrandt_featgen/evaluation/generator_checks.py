"""Whether verdicts are right of each generator: worlds in which it truly helps, and worlds in which it does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path

from rembrandt_featgen.evaluation import error_rates
from rembrandt_featgen.evaluation.error_rates import Rates
from rembrandt_featgen.evaluation.self_checks import Finding
from rembrandt_featgen.evaluation.simulated_studies import World
from rembrandt_featgen.generation.methods import METHODS

CHECK = "planted_generators"
GENERATORS = tuple(name for name, method in METHODS.items() if method.kind == "generative")
_FEWER = 10  # times fewer studies of the worlds in which generators help: a share of 0.8 needs less than one of 0.05

# All are hold-outs of five trainings. Generators help classifiers that nobody can or did regularise, where the minority
# is rare: made samples fill the space about its few patients, or are steps towards what is hardly seen.
WORLDS: dict[str, World] = {
    "helps": World(
        patients=(300, 6), numbers=10, shift=1.0, plan="hold-out", tested=100, classifiers=("neighbours@1",), fresh=500
    ),
    "helps_network": World(
        patients=(2400, 8), numbers=10, shift=1.0, plan="hold-out", tested=200, classifiers=("mlp@0.001",), fresh=500
    ),
    "nothing": World(
        patients=(300, 6), numbers=10, shift=0.0, plan="hold-out", tested=40, classifiers=("mlp@0.001",), fresh=100
    ),
    "regularised": World(
        patients=(60, 20), numbers=10, shift=0.8, plan="hold-out", tested=100, classifiers=("ridge", "mlp"), fresh=1000
    ),
}
# Share of the studies in which a generator helps that have to say so. Where it helps a network, what eight patients of
# a class teach differs much between studies, and in some of them it helps by less than a verdict cares for.
POWERS = {"helps": 0.8, "helps_network": 0.5}
# Studies of each of these, from which on it can be said: where half of that share find it, 20 of them pass in less than
# 2% of series, 2 in 16% and 44%.
_ENOUGH = 20
NEEDED = max(error_rates.ENOUGH, _FEWER * _ENOUGH)  # --simulated_studies
# As the table of README.md in this folder has them.
_SHOWN = {
    "helps": "nearest neighbour, 300 + 6 patients, generation helps",
    "helps_network": "mlp@0.001, 2400 + 8 patients, generation helps",
    "nothing": "mlp@0.001, 300 + 6 patients, numbers that tell nothing",
    "regularised": "ridge and mlp, 60 + 20 patients, each study with a truth of its own",
}


def measure(names: Collection[str], studies: int, folder: Path | None = None) -> dict[str, dict[str, Rates]]:
    """Simulates studies of each world with each of some generators.

    Args:
      names: of `GENERATORS`.
      studies: of each world, a tenth of them where generators help.
      folder: see `error_rates.measure`.

    Returns:
      World to generator to what its studies said.
    """
    return {
        world: {
            name: error_rates.measure(
                dataclasses.replace(settings, arm=name),
                max(2, studies // _FEWER) if world in POWERS else studies,
                folder and folder / world / name,
            )
            for name in names
        }
        for world, settings in WORLDS.items()
    }


def finding(measured: Mapping[str, Mapping[str, Rates]]) -> Finding:
    """Passes where studies are right of every generator, see `right`; says nothing where they are too few.

    Args:
      measured: of `measure`.
    """
    outcomes = [right(world, rates) for world, of_world in measured.items() for rates in of_world.values()]
    few = None in outcomes
    said = [
        f"{world} ({_SHOWN[world]}): "
        + ", ".join(f"{name} {_figures(world, rates)}" for name, rates in of_world.items())
        for world, of_world in measured.items()
    ]
    return Finding(
        check=CHECK,
        passed=False if False in outcomes else None if few else True,
        finding=few * f"too few studies to say; --simulated_studies={NEEDED} or more are needed: "
        + "simulated studies with each generator (in parentheses the true difference of AUROC): "
        + "; ".join(said),
    )


def right(world: str, rates: Rates) -> bool | None:
    """Whether the words of a world's studies are right as often as they have to be; None where they are too few to say.

    Where it should help, it does in half of the studies or more; that share of `POWERS` of these has to say so, and no
    more than is allowed the contrary of their truth. Of "nothing" every "helped" or "harmed" is false. Of "regularised"
    each study has a truth of its own, measured on new patients, and a word is false where it says the contrary.
    """
    if false_words(world, rates) > error_rates.allowed(rates.studies):
        return False
    if rates.studies < (_ENOUGH if world in POWERS else error_rates.ENOUGH):
        return None
    return world not in POWERS or (
        rates.benefits * 2 >= rates.studies and rates.found >= POWERS[world] * rates.benefits
    )


def false_words(world: str, rates: Rates) -> int:
    """Studies that said what is not true."""
    return rates.false_words if world == "nothing" else rates.contrary


def _figures(world, rates) -> str:
    words = f"{false_words(world, rates)} of {rates.studies} false words, {error_rates.allowed(rates.studies)} allowed"
    if world in POWERS:
        return f"({rates.truth:+.3f}) found in {rates.found} of {rates.benefits}, {words}"
    return f"({rates.truth:+.3f}) {words}"
