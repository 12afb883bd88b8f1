"""Answers to what reporting checklists ask of models, evaluation and results, computed from a study's report.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rembrandt_featgen.reporting import contrast_words, measure_titles, records, study_design
from rembrandt_featgen.reporting.checklist_answers import PARTLY, REPORTED, Answer, for_authors, not_done, setting
from rembrandt_featgen.reporting.checklist_features import features, of_classes

# Parts of the names of settings that describe ...
_TRAINING = (
    "epochs",
    "batch",
    "learning_rate",
    "schedule",
    "patience",
    "warmup",
    "augment",
    "dice_over",
    "dropout",
    "unet_loss",
    "unet_monitor",
    "unet_optimizer",
    "unet_sampling",
    "unet_steps",
)
_ARCHITECTURE = (
    "tap",
    "modalities",
    "slices_in",
    "unet_width",
    "unet_norm",
    "ndf",
    "ngf",
    "latent",
    "classifier_filters",
    "classifier_units",
)
_WEIGHTS = ("initializer", "weights")


def of_model(report: Mapping) -> dict[str, Answer]:
    """Answers on networks and their training; any key of the report may be missing."""
    rows = records.arms(report)
    generative = _names([row for row in rows if records.kind(row) == "generative"])
    classical = _names([row for row in rows if records.kind(row) == "classical"])
    classifiers = ", ".join(sorted({str(row["classifier"]) for row in rows if row.get("classifier")}))
    shape, training, weights = (_settings(report, parts) for parts in (_ARCHITECTURE, _TRAINING, _WEIGHTS))
    thresholds = any(row.get("thresholds") for row in rows)
    chosen = ["epochs"] + (["thresholds"] if thresholds else [])
    chosen += ["amounts of features added"] if any(row.get("amounts") for row in rows) else []
    versions, why = report.get("versions"), records.dig(report, "reference", "why")
    answers = {
        "model": Answer(
            REPORTED if shape else PARTLY,
            f"U-Net (features), generators of features ({', '.join(generative) or 'none recorded'}), classifier "
            f"({classifiers or 'not recorded'}); {shape or 'no settings recorded'}. Every layer: the program's "
            f"source. Chosen on validation patients: {', '.join(chosen)}.",
        ),
        "specification": Answer(
            PARTLY,
            "Source and settings reproduce every model, and a run's export writes models that work alone. Authors: "
            "where they are.",
        ),
        "software": for_authors("packages and versions; this report has none, but stage.json beside it may"),
        "initialisation": Answer(PARTLY, "At random, from the recorded seeds; the run recorded no initialiser."),
        "training": for_authors("how it was trained; the run recorded no settings"),
        "selection": Answer(
            REPORTED,
            f"Chosen on validation patients of each run: {', '.join(chosen)}. Test patients chose nothing"
            + (f". The reference: {why}." if why else "."),
        ),
        "ensembles": not_done("each run's model predicts alone; only a patient's slices are pooled."),
        "predictors": Answer(REPORTED, "All channels of these features; none was selected by the outcome."),
        "predictors_defined": Answer(
            REPORTED,
            f"From {setting(report, 'modalities')}: {features(report)}. {of_classes(report)}",
        ),
        "subset": Answer(
            PARTLY, f"Modalities: {setting(report, 'modalities')}. All slices of a patient, as {features(report)}."
        ),
        "predictor_handling": Answer(REPORTED, "Channels scaled by training patients; otherwise as they are."),
        "imbalance": not_done("the run recorded no arm that deals with it."),
        "output": Answer(
            REPORTED,
            _output(report, "chosen on validation patients of each run" if thresholds else "0.5"),
        ),
        "predictions": Answer(REPORTED, "By each run's trained networks, out of fold, by the program's code."),
        "updating": not_done("no model was updated or recalibrated after its evaluation."),
        "protocol": Answer(
            PARTLY, "Settings and the rule of the verdict are recorded. Authors: the protocol, or that there was none."
        ),
        "availability": Answer(
            PARTLY, "Software: rembrandt_featgen. Authors: where it, the trained models and the data are."
        ),
        "code_sharing": Answer(
            PARTLY, "The analysis is the program rembrandt_featgen with the settings recorded. Authors: where it is."
        ),
    }
    if isinstance(versions, Mapping) and versions:
        listed, commit = ", ".join(f"{name} {version}" for name, version in versions.items()), report.get("commit")
        source = f"; commit {commit} of the program" if isinstance(commit, str) else ""
        answers["software"] = Answer(REPORTED, f"{listed}{source}.")
    if weights:
        answers["initialisation"] = Answer(REPORTED, f"{weights}; otherwise at random, from the recorded seeds.")
    if training:
        answers["training"] = Answer(REPORTED, f"{training}.")
    if classical or generative:
        arms = ", ".join([*classical, *generative])
        text = f"Compared, as the question of the study: {arms}. Probabilities were not recalibrated afterwards."
        answers["imbalance"] = Answer(PARTLY, text)
    return answers


def of_evaluation(report: Mapping) -> dict[str, Answer]:
    """Answers on how performance was judged; any key of the report may be missing."""
    rows = records.arms(report)
    measures = measure_titles.arm_measures(records.class_names(report))
    shown = [m.title for m in measures if any(records.value(row, m.key) is not None for row in rows)]
    checks = records.entries(report, "self_checks")
    passed = sum(check.get("passed") is True for check in checks)
    examined = study_design.repetitions(report)
    examined += ["amounts of features added"] if records.entries(report, "amount_curve") else []
    examined += [f"self-checks, of which {passed} of {len(checks)} passed"] if checks else []
    tests = [records.finite(records.dig(row, "difference", "p_adjusted")) for row in rows]
    number = study_design.sites(report)
    mixed = "patients of all sites were mixed in each fold." if number > 1 else "no sites of patients were given."
    answers = {
        "measures": not_done("the run recorded no measures."),
        "statistics": not_done("the run recorded no intervals."),
        "robustness": not_done("one seed, one setting."),
        "explainability": not_done("no method explains single predictions."),
        "fairness": not_done("the run does not know the sex, age or ethnicity of patients."),
        "clusters": not_done(mixed),
        "cluster_results": not_done(mixed),
        "failures": not_done("patients who were misclassified were not examined one by one."),
    }
    segmented = records.dig(report, "segmentation", "test")
    of_volumes = [m.title for m in measure_titles.segmentation_measures([records.dig(segmented, "volumes")])]
    if named := records.named_values(records.dig(segmented, "worst")):
        worst = ", ".join(f"{name} {dice:.2f}" for name, dice in named)
        text = f"Patients segmented worst, by dice of the volume: {worst}. Those misclassified: not one by one."
        answers["failures"] = Answer(PARTLY, text)
    if shown:
        diagrams = "; reliability diagrams" if records.entries(report, "reliability") else ""
        volumes = f" Segmentation, per volume: {', '.join(of_volumes)}." if of_volumes else ""
        text = f"{', '.join(shown)}{diagrams}.{volumes} Clinical utility was not examined."
        answers["measures"] = Answer(REPORTED, text)
    if any(records.bounds(row, "balanced_accuracy") for row in rows):
        tested = any(p is not None for p in tests)
        text = "95% intervals by a bootstrap over patients and trainings, paired for differences; "
        text += "tests adjusted for all arms (max-T)." if tested else "no tests were recorded."
        if any(records.bounds(row, "ece") for row in rows):
            text += " Of ECE less what resampling adds to it: bins of patients drawn twice look less calibrated."
        answers["statistics"] = Answer(REPORTED, text)
    if examined:
        text = f"Examined: {', '.join(examined)}. Not examined: other scanners, worse images."
        answers["robustness"] = Answer(PARTLY, text)
    if records.grouping(report) == "site":
        few = f" Of {number} sites it would say little." if 0 < number < study_design.FEW_SITES else ""
        text = f"Sites were held out in turn; the spread between them was not modelled.{few}"
        answers["clusters"] = Answer(PARTLY, text)
        answers["cluster_results"] = Answer(PARTLY, "The figure of folds shows the sites that were held out.")
    return answers


def of_results(report: Mapping) -> dict[str, Answer]:
    """Answers on results; any key of the report may be missing."""
    rows, compared = records.arms(report), contrast_words.compared(report)
    top = contrast_words.rows_of_best(report)
    warnings = " ".join(str(warning) for warning in report.get("warnings") or () if warning)
    verdict = report.get("verdict")
    answers = {
        "performance": not_done("the run recorded no measures."),
        "diagnostic": not_done("the run recorded no measures."),
        "limitations": for_authors("limitations; the run recorded no warnings"),
        "interpretation": for_authors("interpretation; the run reached no verdict"),
    }
    if top:
        keys = {name: f"accuracy_{name}" for name in records.class_names(report)}
        keys["balanced accuracy"] = "balanced_accuracy"
        by_class = "; ".join(
            f"{records.name(row, rows)} {', '.join(f'{name} {_score(row, key)}' for name, key in keys.items())}"
            for row in top
        )
        scores = "; ".join(f"{records.name(row, rows)} {_score(row, 'auroc')}" for row in top)
        met = "The two pipelines that validation patients chose met on the test patients"
        shown = (
            f"{met}: {compared}. Arms that they took most often" if compared else "AUROC per patient of the reference"
        )
        of_arms = "the arms that were chosen most often" if compared else "the reference"
        answers["performance"] = Answer(
            PARTLY, f"{shown}: {scores}. All arms and classes are tabled. Subgroups of patients: not examined."
        )
        answers["diagnostic"] = Answer(
            REPORTED, f"Per patient, share of each class that is right, of {of_arms}: {by_class}. Of all arms: tabled."
        )
    if warnings:
        answers["limitations"] = Answer(PARTLY, f"The run's warnings: {warnings}")
    if verdict:
        text = f"{verdict} Fairness: not examined. Authors: what it means next to earlier studies."
        answers["interpretation"] = Answer(PARTLY, text)
    return answers


def _names(rows: Sequence[Mapping]) -> list[str]:
    return list(dict.fromkeys(str(row.get("arm") or "unnamed") for row in rows))


def _settings(report: Mapping, parts: Sequence[str]) -> str:
    """Settings of which the name holds one of `parts`, as one would type them."""
    settings = dict(report.get("settings") or {})
    settings.pop("unet_epochs" if settings.get("unet_steps") else "unet_steps", None)  # the other one had no part in it
    named = [name for name in settings if any(part in name for part in parts) and settings[name] not in ("", None)]
    return ", ".join(f"{name} {setting(report, name)}" for name in named)


def _score(row: Mapping, key: str) -> str:
    value, bounds = records.value(row, key), records.bounds(row, key)
    interval = f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else ""
    return "not defined" if value is None else f"{value:.3f}{interval}"


def _output(report: Mapping, threshold: str) -> str:
    """What a model gives, and how it is decided."""
    names = records.class_names(report)
    if len(names) > 2:
        return (
            f"Probability of each of {', '.join(names)} for a slice, and for a patient by the geometric mean of the "
            "slices. Decided for: the class of the greatest probability divided by its share in training."
        )
    return (
        f"Probability of {records.positive_class(report)} for a slice, and for a patient by the mean log-odds of "
        f"the slices. Threshold: {threshold}."
    )
