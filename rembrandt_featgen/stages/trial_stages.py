"""What `estimates/`, which no stage is above, asks of the stages: each by the function that the stage itself runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import fresh_patients
from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.estimates.stage_calls import StageCalls
from rembrandt_featgen.evaluation.run_features import Studied
from rembrandt_featgen.evaluation.sweep_points import Point
from rembrandt_featgen.evaluation.sweep_sharing import Base
from rembrandt_featgen.stages import assign_folds, evaluate_features, prepare_slices, run_sweep, shared_flags


def _config(name: str, flags):
    return stages.share(stages.modules([name])[name], flags)


def _run(name: str, flags, cohort: Cohort | None) -> None:
    with shared_flags.cohort_instead(cohort):
        stages.modules([name])[name].run(_config(name, flags))


def _cohort(flags, run_dir: str) -> Cohort:
    return shared_flags.find_cohort(stages.share(prepare_slices, flags, run_dir=run_dir))


def _split(flags, cohort: Cohort, fresh: Collection[str]) -> dict[str, str]:
    return prepare_slices.assignment_of(_config("prepare_slices", flags), cohort, fresh)


def _folds(flags, cohort: Cohort, fresh: Collection[str]) -> list[dict[str, str]]:
    folds = assign_folds.divide(_config("assign_folds", flags), fresh_patients.without(cohort, fresh), 0)
    return [fresh_patients.tested(fold, fresh) if fresh else fold for fold in folds.values()]


def _study(flags, studied: Sequence[Studied], run_dir: str) -> None:
    evaluate_features.try_tasks(_config("evaluate_features", flags), studied, run_dir)


def _points(flags, run_dir: str) -> tuple[Base | None, Sequence[Point]]:
    own = _config("run_sweep", flags)
    if not run_sweep.asks(own):
        return None, []
    base = run_sweep.find_base(run_dir)
    return base, run_sweep.find_points(own, base)


CALLS = StageCalls(
    config=_config,
    run=_run,
    cohort=_cohort,
    split=_split,
    folds=_folds,
    study=_study,
    points=_points,
)
