"""The hours that the paper's whole run would take here, from some steps of each of its stages at full size.

The settings are those of a flagfile (--paper_flags); the cohort's counts are the paper's. A stage is a process of its
own that runs the stage's code on a small phantom cohort (`paper_sides`). Its seconds per step, times the steps of the
whole run, are its hours; rate and peak memory after the second half of the steps stand beside those after the first.
Fine-tuning is measured in --paper_precisions, too, in half as many steps. What the flagfile's sweeps would add comes
from --paper_sweep_steps of each point whose steps are not as long as the run's.

Epochs are counted in full, patience or not, and steps on slices of half the size (--unet_half_size) as on whole ones.
Not counted are what comes once or once an epoch: starts, saves, the validation of GAN and classifier, tables, figures,
export. What has no clock is refused: features of crops, whose CNN is trained by `extract_features`, and those that are
computed anew in every epoch.
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
from rembrandt_featgen.classification import map_networks
from rembrandt_featgen.cohort import splits
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.cohort.who_grades import GLIOMAS
from rembrandt_featgen.core import json_files, registry, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.estimates import step_counts
from rembrandt_featgen.evaluation import sweep_sharing
from rembrandt_featgen.evaluation.sweep_points import Point
from rembrandt_featgen.evaluation.sweep_results import CLASSIFIER
from rembrandt_featgen.features import crops
from rembrandt_featgen.stages import extract_features, run_sweep, shared_flags

# The paper's cohort (3.4, 3.5): patients, those of them who are tested, slices for training and for the test.
PATIENTS = {"HGG": 61, "LGG": 40}
TESTED = {"HGG": 7, "LGG": 4}
TRAINING = {"HGG": 2712, "LGG": 1828}
TEST = {"HGG": 362, "LGG": 208}
ACCEPTED = 0.823  # of what is generated with 512 filters, D assigns the wanted class (4.2.2)
WEIGHTS = "BraTS"  # in the place of the file of weights that the paper fine-tunes (4.1)

# Rows of the run, in its order, to the clocks whose hours they sum; the first one's rate and memory are shown.
STAGES = {
    "prepare_slices": ("prepare_slices",),
    "train_unet": ("train_unet",),
    "evaluate": ("evaluate",),
    "extract_features": ("extract_features",),
    "train_generators": ("train_generators",),
    "generate_synthetic": ("generate_synthetic",),
    "train_classifiers": map_networks.KINDS,
}
# Clocks of what a point of a sweep may not share with the run, by its name in `run_sweep`.
OWN = {
    "train_unet": ("train_unet", "evaluate"),
    "extract_features": ("extract_features",),
    "train_generators": ("train_generators",),
    "generate_synthetic": ("generate_synthetic",),
    "train_classifiers": (CLASSIFIER,),
}


def measure(config, peers: bool) -> tuple[list[dict], dict]:
    """Rows and what each side took; no peer does this."""
    path = str(Path(config.paper_flags).resolve())
    flags = check(path)
    with tempfile.TemporaryDirectory(dir=config.run_dir) as name:
        folder = Path(name).resolve()
        points = sweep_points(flags, folder / "base")
        sides = _sides(config, path, flags, points=points, folder=folder)
        found: dict = {}
        for name, side in sides.items():
            print(f"  {name} ...", flush=True)
            found |= turns.take_turns({name: side}, 0)  # one at a time, for some fill the memory
    return _rows(flags, points, found, precisions=config.paper_precisions), found


def check(path: str):
    """The flags of a flagfile; InputError for those whose hours cannot be estimated."""
    flags = paper_sides.read_flags(path)
    flags = dataclasses.replace(flags, generators=shared_flags.check_generators(flags))
    extract_features.check_tap(flags)
    run_sweep.check(flags)
    where = f"--paper_flags={path}"
    if flags.features_from != "store":
        raise InputError(
            f"{where}: --features_from={flags.features_from} is not measured; take one with --features_from=store"
        )
    if crops.TAP in (flags.tap, *flags.sweep_taps):
        raise InputError(f"{where}: {crops.TAP} is not measured; take one without it in --tap and --sweep_taps")
    if CLASSIFIER not in flags.classifier_kinds:
        raise InputError(f"{where}: without {CLASSIFIER} it is not measured; take one with it in --classifier_kinds")
    return flags


def slices(flags) -> dict[str, dict[str, int]]:
    """Slices of each split and class of the paper's cohort, of whose training patients some validate."""
    patients = [
        Patient(f"{name} {number}", label=name, images={}, mask=Path())
        for name, count in PATIENTS.items()
        for number in range(count)
    ]
    cohort = Cohort(patients, Classes.of(GLIOMAS))
    assigned = splits.split_patients(
        cohort, validation_fraction=flags.validation_fraction, seed=flags.seed, test_counts=TESTED
    )
    counts: dict = {"train": {}, "validation": {}, "test": TEST}
    for name in GLIOMAS:
        validating = sum(assigned[one.id] == "validation" for one in patients if one.label == name)
        counts["validation"][name] = round(TRAINING[name] * validating / (PATIENTS[name] - TESTED[name]))
        counts["train"][name] = TRAINING[name] - counts["validation"][name]
    return counts


def steps(flags, arms=("baseline", "augmented")) -> dict[str, int]:
    """Steps of the whole run by clock, of the first GAN and each classifier; a step of `prepare_slices` is a slice."""
    return step_counts.steps(flags, slices(flags), accepted=ACCEPTED, arms=arms)


def hours_of_stage(path: str, flags, name: str, *, folder: Path, count: int) -> dict[str, float]:
    """Hours of a stage of the run with its first generator; of `train_unet` those of its evaluation, too.

    Args:
      path: of the flagfile.
      flags: of it.
      name: of the stage; those before it have left in `folder` what it needs.
      folder: of all of them.
      count: steps that are measured.
    """
    options = {"flags": path, "folder": str(folder / "run"), "steps": count}
    names = [name]
    if name == "prepare_slices":
        work = paper_sides.prepare_slices(options)
    elif name == "train_unet":
        own = {"folder": str(folder / name), "cohort": options["folder"], "last": "evaluate"}
        work, names = paper_sides.train_unet(options | own), [name, "evaluate"]
    else:
        work = paper_sides.some_stages(options | {"stages": [name]})
    work.round()
    wanted = steps(shared_flags.with_first_generator(flags))
    return {row: _of_stage(work.facts, row, wanted) for row in names}


def sweep_points(flags, folder: Path) -> list[tuple[Point, list[str]]]:
    """The points of the flagfile's sweeps, for a run from `WEIGHTS`, and what each has of its own.

    Args:
      flags: of the flagfile.
      folder: where the records of such a run are put, as far as a sweep reads them.
    """
    flags = dataclasses.replace(flags, unet_weights=WEIGHTS)
    first = shared_flags.with_first_generator(flags)
    figures = {"split": {split: {"slices": own} for split, own in slices(flags).items()}, "tap": flags.tap}
    made = [(name, "", first) for name in ("prepare_slices", "train_unet", "extract_features", "train_classifiers")]
    for kind in flags.generators:
        own = dataclasses.replace(flags, generators=(kind,))
        made += [(name, kind, own) for name in paper_sides.OF_EACH_GAN]
    for name, kind, config in made:
        settings = dataclasses.asdict(stages.share(stages.modules([name])[name], config))
        record = {"stage": name, "kind": kind, "config": settings, "inputs": {}, "figures": figures}
        record["classes"] = Classes.of(GLIOMAS).record
        stage_folder = folder / registry.folder(name, kind)
        stage_folder.mkdir(parents=True)
        json_files.write_json(stage_folder / rundir.RECORD, record)
    base = run_sweep.find_base(str(folder))
    return [
        (point, sweep_sharing.stages_to_learn(base, point))
        for point in run_sweep.find_points(stages.share(run_sweep, flags), base)
    ]


def _sides(config, path, flags, points, folder) -> dict[str, turns.Side]:
    """By name; those that need what another one leaves come after it."""

    def side(function, home, steps, **options):
        options = {"flags": path, "folder": str(folder / home), "steps": steps, **options}
        return turns.Side(f"{paper_sides.__name__}:{function}", options)

    run = str(folder / "run")
    sides = {"prepare_slices": side("prepare_slices", "run", config.paper_steps)}
    sides["train_unet"] = side("train_unet", "train_unet", config.paper_steps, cohort=run, last="evaluate")
    for name in config.paper_precisions:
        half = max(config.paper_steps // 2, 2)
        changes = {"precision": name}
        sides[name] = side("train_unet", name, half, cohort=run, last="train_unet", changes=changes)
    sides |= {name: side("some_stages", "run", config.paper_steps, stages=[name]) for name in paper_sides.AFTER_UNET}
    for kind in flags.generators[1:]:
        options = {"stages": paper_sides.OF_EACH_GAN, "changes": {"generators": (kind,)}}
        sides[kind] = side("some_stages", "run", config.paper_steps, **options)
    few = config.paper_sweep_steps
    for point, own in points:
        options = {"cohort": str(folder / "few"), "changes": point.changes}
        if "augmentation" in point.changes:
            measured = {point.name: side("train_unet", point.name, few, last="train_unet", **options)}
        elif {"extract_features", "train_generators"} & set(own):
            measured = {point.name: side("point", point.name, few, **options)}
        else:  # its steps are as long as the run's
            continue
        sides |= {"cohort of sweeps": side("prepare_slices", "few", few)} | measured
    return sides


def _rows(flags, points, found, precisions) -> list[dict]:
    clocks: dict = {}
    for name in ("prepare_slices", "train_unet", *paper_sides.AFTER_UNET):
        clocks |= found[name].facts
    wanted, rows, total = steps(flags), [], 0.0
    for name, parts in STAGES.items():
        hours = _of_stage(clocks, name, wanted)
        if name in paper_sides.OF_EACH_GAN:
            others = {kind: steps(dataclasses.replace(flags, generators=(kind,))) for kind in flags.generators[1:]}
            hours += sum(_hours(found[kind].facts, name, own) for kind, own in others.items())
        total += hours
        rows += [row(f"paper_{name}_hours", hours, "h"), *_halves(f"paper_{name}", clocks, parts[0])]
        if name == "train_unet":
            for precision in precisions:
                own = found[precision].facts
                own_hours = _hours(own, name, wanted)
                rows.append(
                    row(f"paper_{name}_{precision}_hours", own_hours, "h", other=hours, against=flags.precision)
                )
                rows += _halves(f"paper_{name}_{precision}", own, name)
    rows.append(row("paper_total_hours", total, "h"))
    swept: dict[str, float] = {}
    for point, own_parts in points:
        timed = clocks | (found[point.name].facts if point.name in found else {})
        wanted = steps(dataclasses.replace(flags, **point.changes), point.arms)
        wanted_clocks = [part for name in own_parts for part in OWN[name]]
        swept.setdefault(point.axis, 0.0)
        swept[point.axis] += sum(_hours(timed, part, wanted) for part in wanted_clocks)
    rows += [row(f"paper_sweep_{axis}_hours", hours, "h") for axis, hours in swept.items()]
    whole = total + sum(swept.values())
    return [*rows, row("paper_total_with_sweeps_hours", whole, "h", other=total, against="without sweeps")]


def _of_stage(clocks: Mapping, name: str, wanted: Mapping[str, int]) -> float:
    """Hours of a row of the run."""
    return sum(_hours(clocks, part, wanted) for part in STAGES[name] if part in wanted)


def _hours(clocks: Mapping, name: str, wanted: Mapping[str, int]) -> float:
    return statistics.fmean(clocks[name]["seconds"]) * wanted[name] / 3600


def _halves(name: str, clocks: Mapping, clock: str) -> list[dict]:
    """Steps per second, and peak memory, of the second half of the steps beside the first."""
    seconds, (before, after) = clocks[clock]["seconds"], clocks[clock]["peak_bytes"]
    half = len(seconds) // 2
    first, second = (1 / statistics.fmean(part) for part in (seconds[:half], seconds[half:]))
    unit = "slices/s" if clock == "prepare_slices" else "steps/s"
    return [
        row(f"{name}_rate_2nd_vs_1st_half", second, unit, other=first, against="first half"),
        row(f"{name}_memory_2nd_vs_1st_half", after / 1e9, "GB", other=before / 1e9, against="first half"),
    ]
