"""How good the samples of the generative arms of a task are."""

from __future__ import annotations

from rembrandt_featgen.evaluation import arms, generator_measures
from rembrandt_featgen.evaluation.arms import ARMS
from rembrandt_featgen.evaluation.trial_samples import Trial
from rembrandt_featgen.generation import training_set

# The independent classifier of generators' samples, and what stands for it where it is the study's; of maps or not.
_JUDGES = {True: ("linear", "cnn"), False: ("ridge", "neighbours")}


def measure_generators(trial: Trial) -> dict[str, dict]:
    """How good the samples of each generative arm are, and those of augmented slices beside: see generator_measures.

    An arm that has no samples of a class is left out.
    """
    table, task, settings = trial.table, trial.task, trial.settings
    measured = [name for name in settings.arms if ARMS[name].kind == "generative" or name == arms.AUGMENTED]
    if not measured or not len(task.test):
        return {}
    training, test = (
        generator_measures.Real(features, table.labels[rows], table.patients[rows])
        for features, rows in (
            (trial.outer.samples.features, task.train),
            (trial.outer.preparation.apply(table.values[task.test]), task.test),
        )
    )
    judged_by = generator_measures.judges(
        training,
        settings=settings.of_classifier(settings.classifiers[0]),
        other=settings.of_classifier(_JUDGES[table.is_map][settings.classifiers[0] == _JUDGES[table.is_map][0]]),
        num_classes=table.classes.count,
        seed=task.training_seed,
    )
    found = {}
    for name in measured:
        drawn = arms.extra_samples(
            ARMS[name],
            trial.outer.samples,
            training_set.counts(training.labels, generator_measures.AMOUNT, table.classes.count),
            num_classes=table.classes.count,
            signed=trial.signed,
            seed=task.training_seed,
            draw=trial.draw(name, trial.outer),
            fitted=trial.fitted(name, trial.outer),
            class_names=table.classes.names,
        )
        if set(drawn.labels.tolist()) == set(training.labels.tolist()):
            found[f"{table.kind}/{name}"] = generator_measures.measure(drawn, training, test, judged_by=judged_by)
    return found
