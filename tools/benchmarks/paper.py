"""The hours that the paper's whole run would take here, from some steps of each of its stages at full size.

The settings are those of a flagfile (--paper_flags); the cohort's counts are the paper's. A stage is a process of its
own that runs the stage's code on a small phantom cohort (`paper_sides`). Its seconds per step, times the steps of the
whole run, are its hours; rate and peak memory after the second half of the steps stand beside those after the first.
Fine-tuning is measured in --paper_precisions, too, in half as many steps. What the flagfile's sweeps would add comes
from --paper_sweep_steps at each block and number of filters.

Epochs are counted in full: patience, where the flagfile has any, ends them earlier. Not counted are what comes once or
once an epoch: starts, saves, the validation of GAN and classifier, tables, figures, export.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks import paper_sides, turns
from benchmarks.rows import row
from rembrandt_featgen import stages
from rembrandt_featgen.cohort import layouts, splits
from rembrandt_featgen.models import classifier as classifiers
from rembrandt_featgen.models.gan_kinds import KINDS
from rembrandt_featgen.stages import sweep
from rembrandt_featgen.training.datasets import steps_per_epoch
from rembrandt_featgen.training.sweeps import CLASSIFIER, Point

# The paper's cohort (3.4, 3.5): patients, those of them who are tested, slices for training and for the test.
PATIENTS = {"HGG": 61, "LGG": 40}
TESTED = {"HGG": 7, "LGG": 4}
TRAINING = {"HGG": 2712, "LGG": 1828}
TEST = {"HGG": 362, "LGG": 208}
CONFIRMED = 0.823  # of what is generated with 512 filters, D tells the wanted grade (4.2.2)
WEIGHTS = "BraTS"  # stands for the file of weights that the paper fine-tunes (4.1)

# Rows of the run, in its order, to the clocks whose hours they sum; the first one's rate and memory are shown.
STAGES = {
    "prepare": ("prepare",),
    "finetune": ("finetune",),
    "evaluate": ("evaluate",),
    "extract": ("extract",),
    "train_acgan": ("train_acgan",),
    "generate": ("generate",),
    "classify": classifiers.KINDS,
}
# Clocks of what a point of a sweep may have of its own, by its name in `sweep`.
OWN = {
    "unet": ("finetune", "evaluate"),
    "features": ("extract",),
    "gan": ("train_acgan",),
    "synthetic": ("generate",),
    "classifier": (CLASSIFIER,),
}


def measure(config, peers: bool) -> tuple[list[dict], dict]:
    """Rows and what each side took; no peer does this."""
    path = str(Path(config.paper_flags).resolve())
    flags = paper_sides.read_flags(path)
    points = sweep_points(flags)
    with tempfile.TemporaryDirectory(dir=config.run_dir) as folder:
        sides = _sides(config, path, flags, points, Path(folder).resolve())
        found: dict = {}
        for name, side in sides.items():
            print(f"  {name} ...", flush=True)
            found |= turns.take_turns({name: side}, 0)  # one at a time, for some fill the memory
    return _rows(flags, points, found, config.paper_precisions), found


def slices(flags) -> dict[str, dict[str, int]]:
    """Slices of each split and grade of the paper's cohort, of whose training patients some validate."""
    cohort = [layouts.Patient(f"{g} {i}", g, {}, Path()) for g, count in PATIENTS.items() for i in range(count)]
    assigned = splits.split_patients(cohort, flags.validation_fraction, seed=flags.seed, test_counts=TESTED)
    counts: dict = {"train": {}, "validation": {}, "test": TEST}
    for grade in layouts.GRADES:
        validating = sum(assigned[one.id] == "validation" for one in cohort if one.grade == grade)
        counts["validation"][grade] = round(TRAINING[grade] * validating / (PATIENTS[grade] - TESTED[grade]))
        counts["train"][grade] = TRAINING[grade] - counts["validation"][grade]
    return counts


def steps(flags, arms=("baseline", "augmented")) -> dict[str, int]:
    """Steps of the whole run by clock; of the linear classifier, too. A step of `prepare` is a slice."""
    counts = {split: sum(own.values()) for split, own in slices(flags).items()}

    def of_all(batch):
        return sum(steps_per_epoch(count, batch) for count in counts.values())

    share = CONFIRMED if KINDS[flags.gans[0]].tells_grade else 1.0
    draws = len(layouts.GRADES) * steps_per_epoch(round(flags.synthetic_per_grade / share), flags.generate_batch)
    samples = [counts["train"] + (_added(flags) if arm == "augmented" else 0) for arm in arms]
    classify = flags.classifier_epochs * sum(steps_per_epoch(count, flags.classifier_batch) for count in samples)
    validation = flags.unet_epochs * steps_per_epoch(counts["validation"], flags.unet_batch)
    return {
        "prepare": sum(counts.values()),
        "finetune": flags.unet_epochs * steps_per_epoch(counts["train"], flags.unet_batch),
        "evaluate": validation + of_all(flags.unet_batch),
        "extract": of_all(flags.extract_batch),
        "train_acgan": flags.acgan_epochs * steps_per_epoch(counts["train"], flags.acgan_batch),
        "generate": draws,
        **dict.fromkeys(flags.classifier_kinds, classify),
    }


def sweep_points(flags) -> list[Point]:
    """The points of the flagfile's sweeps, for a run from `WEIGHTS`."""
    records = {
        "slices": {"figures": {"split": {split: {"slices": own} for split, own in slices(flags).items()}}},
        "unet": {"config": {"unet_weights": WEIGHTS}},
        "features": {"figures": {"tap": flags.tap}},
        "gan": {"config": {"ndf": flags.ndf, "ngf": flags.ngf}},
        "classifier": {"config": {"synthetic_added": flags.synthetic_added, "synthetic_to": flags.synthetic_to}},
    }
    return sweep._points(stages.share(sweep, flags), sweep._Base(Path(), {}, records))


def own_stages(flags, point: Point) -> list[str]:
    """What a point does not share with the run, by its name in `sweep`."""
    flags = dataclasses.replace(flags, unet_weights=WEIGHTS)
    changed = {name for name, value in point.changes.items() if getattr(flags, name) != value}
    sources = sweep._SOURCES_OF_IMAGES if KINDS[flags.gans[0]].of_images else sweep._SOURCES
    own: list[str] = []
    for module, name in sweep._LEARNT.items():
        known = {field.name for field in dataclasses.fields(stages.modules([module])[module].Config)}
        if changed & known or set(own) & set(sources[name]):
            own.append(name)
    return own if point.arms else own[:1]


def _added(flags) -> int:
    """Features that the augmented arm adds."""
    both = len(layouts.GRADES) * flags.synthetic_per_grade
    if flags.synthetic_to == "both":
        return flags.synthetic_added or both
    training = slices(flags)["train"]
    return flags.synthetic_added or min(max(training.values()) - min(training.values()), flags.synthetic_per_grade)


def _is_measured(flags, point: Point) -> bool:
    """Whether a point's steps are not as long as the run's."""
    return bool({"features", "gan"} & set(own_stages(flags, point)))


def _sides(config, path, flags, points, folder) -> dict[str, turns.Side]:
    """By name; those that need what another one leaves come after it."""

    def side(function, home, steps, **options):
        options = {"flags": path, "folder": str(folder / home), "steps": steps, **options}
        return turns.Side(f"{paper_sides.__name__}:{function}", options)

    run = str(folder / "run")
    sides = {"prepare": side("prepare", "run", config.paper_steps)}
    sides["finetune"] = side("finetune", "finetune", config.paper_steps, cohort=run, last="evaluate")
    for name in config.paper_precisions:
        half = max(config.paper_steps // 2, 2)
        changes = {"precision": name}
        sides[name] = side("finetune", name, half, cohort=run, last="finetune", changes=changes)
    sides |= {name: side("stage", "run", config.paper_steps, stage=name) for name in paper_sides.AFTER_UNET}
    measured = [point for point in points if _is_measured(flags, point)]
    if measured:
        sides["cohort of sweeps"] = side("prepare", "few", config.paper_sweep_steps)
    for point in measured:
        options = {"cohort": str(folder / "few"), "changes": point.changes}
        sides[point.name] = side("point", point.name, config.paper_sweep_steps, **options)
    return sides


def _rows(flags, points, found, precisions) -> list[dict]:
    clocks: dict = {}
    for name in ("prepare", "finetune", *paper_sides.AFTER_UNET):
        clocks |= found[name].facts
    wanted, rows, total = steps(flags), [], 0.0
    for name, parts in STAGES.items():
        hours = sum(_hours(clocks, part, wanted) for part in parts if part in wanted)
        total += hours
        rows += [row(f"paper_{name}_hours", hours, "h"), *_halves(f"paper_{name}", clocks, parts[0])]
        if name == "finetune":
            for precision in precisions:
                own = found[precision].facts
                rows.append(
                    row(f"paper_{name}_{precision}_hours", _hours(own, name, wanted), "h", hours, flags.precision)
                )
                rows += _halves(f"paper_{name}_{precision}", own, name)
    rows.append(row("paper_total_hours", total, "h"))
    swept: dict[str, float] = {}
    for point in points:
        own = clocks | (found[point.name].facts if point.name in found else {})
        wanted = steps(dataclasses.replace(flags, **point.changes), point.arms)
        parts = [part for name in own_stages(flags, point) for part in OWN[name]]
        swept.setdefault(point.axis, 0.0)
        swept[point.axis] += sum(_hours(own, part, wanted) for part in parts)
    rows += [row(f"paper_sweep_{axis}_hours", hours, "h") for axis, hours in swept.items()]
    whole = total + sum(swept.values())
    return [*rows, row("paper_total_with_sweeps_hours", whole, "h", total, "without sweeps")]


def _hours(clocks: Mapping, name: str, wanted: Mapping[str, int]) -> float:
    return statistics.fmean(clocks[name]["seconds"]) * wanted[name] / 3600


def _halves(name: str, clocks: Mapping, clock: str) -> list[dict]:
    """Steps per second, and peak memory, of the second half of the steps beside the first."""
    seconds, (before, after) = clocks[clock]["seconds"], clocks[clock]["peak_bytes"]
    half = len(seconds) // 2
    first, second = (1 / statistics.fmean(part) for part in (seconds[:half], seconds[half:]))
    unit = "slices/s" if clock == "prepare" else "steps/s"
    return [
        row(f"{name}_rate_2nd_vs_1st_half", second, unit, first, "first half"),
        row(f"{name}_memory_2nd_vs_1st_half", after / 1e9, "GB", before / 1e9, "first half"),
    ]
