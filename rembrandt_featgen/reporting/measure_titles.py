"""Measures of arms, generators and segmentation: their titles, and how to read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Measure(NamedTuple):
    """A measure and how to read it."""

    key: str
    title: str
    better: str  # "higher", "lower", or "" where neither is better
    words: str = ""
    form: str = ".3f"


MEMORISATION_MEASURES = (
    Measure(
        "memorisation.nearest_ratio_median",
        "Distance to the nearest training feature",
        "",
        words="median of generated features over that of unseen patients; near 1 without copying",
    ),
    Measure(
        "memorisation.share_below_1_percent",
        "Share of near copies",
        "lower",
        words="nearer to training than the nearest 1% of unseen patients' features",
    ),
    Measure(
        "memorisation.share_across_classes",
        "Share of near copies of other classes",
        "lower",
        words="the same beside training features of other classes, once the means of classes lie on each other",
    ),
    Measure("memorisation.p_value", "p, nearer than unseen patients", "", words="one-sided, over unseen patients"),
)

SEGMENTATION_MEASURES = (
    Measure("dice", "Dice", "higher"),
    Measure("iou", "IOU", "higher"),
    Measure("sensitivity", "Sensitivity", "higher", words="share of the true tumour that is found"),
    Measure("precision", "Precision", "higher", words="share of the predicted tumour that is true"),
    Measure("volume_error", "Volume error", "", words="predicted less true volume, over the true; 0 is right"),
    Measure("hausdorff95_mm", "95% Hausdorff distance, mm", "lower", words="where both have tumour", form=".1f"),
    Measure("surface_distance_mm", "Mean surface distance, mm", "lower", words="where both have tumour", form=".2f"),
)


def segmentation_measures(tables: Iterable[object]) -> tuple[Measure, ...]:
    """Measures of whole volumes that any of some tables holds, each a mapping by their keys (or None)."""
    known = {key for table in tables if isinstance(table, Mapping) for key in table}
    return tuple(measure for measure in SEGMENTATION_MEASURES if measure.key in known)


def arm_measures(names: Sequence[str]) -> tuple[Measure, ...]:
    """Measures of an arm; `names` of the classes in the order of the table."""
    many, each = len(names) > 2, []
    for key, title in (("auroc", "AUROC"), ("auprc", "AUPRC")):
        each.append(Measure(key, f"{title}, mean of classes" if many else title, "higher"))
        for name in names if many else ():
            each.append(Measure(f"{key}_by_class.{name}", f"{title}, {name} against the others", "higher"))
    return (
        *(Measure(f"accuracy_{name}", f"Accuracy {name}", "higher") for name in names),
        Measure("accuracy_total", "Accuracy total", "higher"),
        Measure("balanced_accuracy", "Balanced accuracy", "higher"),
        Measure("mcc", "MCC", "higher"),
        *each,
        *(() if many else (Measure("sensitivity_at_specificity", "Sensitivity at specificity 0.8", "higher"),)),
        Measure("brier", "Brier score", "lower"),
        Measure("log_loss", "Log loss", "lower"),
        Measure("ece", "ECE", "lower"),
    )


def generator_measures(names: Sequence[str], judged: bool = False) -> tuple[Measure, ...]:
    """Measures of a generator.

    Args:
      names: of the classes in the order of the table.
      judged: whether an independent judge accepted features of any.
    """
    return (
        Measure("kernel_distance", "Kernel distance", "lower", words="between real and generated features", form=".3g"),
        Measure(
            "frechet_distance", "Fréchet distance", "lower", words="the same, as if both were Gaussian", form=".3g"
        ),
        Measure("precision", "Precision", "higher", words="share of generated features within reach of a real one"),
        Measure("recall", "Recall", "higher", words="share of real features within reach of a generated one"),
        Measure(
            "density", "Density", "higher", words="as precision, less swayed by outliers; 1 for equal distributions"
        ),
        Measure(
            "coverage", "Coverage", "higher", words="share of real features with a generated one among their neighbours"
        ),
        Measure(
            "train_synthetic_test_real",
            "Trained on generated, tested on real",
            "higher",
            words=f"balanced accuracy, chance {1 / max(len(names), 2):.2g}",
        ),
        Measure(
            "train_real_test_synthetic",
            "Trained on real, tested on generated",
            "higher",
            words=f"balanced accuracy, chance {1 / max(len(names), 2):.2g}",
        ),
        Measure(
            "class_accuracy_own",
            "Right class by the generator's own discriminator",
            "",
            words="agreement of generator and discriminator, not realism",
        ),
        Measure(
            "class_accuracy_independent",
            "Right class by an independent classifier",
            "higher",
            words="a classifier that the generator never saw",
        ),
        Measure(
            "class_accuracy_independent_real",
            "The same classifier on real test features",
            "",
            words="what an independent classifier reaches where features are real",
        ),
        *(
            Measure(
                f"acceptance.{name}", f"Acceptance rate, {name}", "", words="share of generated features that were used"
            )
            for name in names
        ),
        *(_of_judge(names) if judged else ()),
    )


def _of_judge(names: Sequence[str]) -> tuple[Measure, ...]:
    return (
        *(
            Measure(
                f"judge_recall_real.{name}",
                f"Real test features accepted, {name}",
                "",
                words="by the same judge, where an independent one accepts (--accept_by=judge)",
            )
            for name in names
        ),
        Measure(
            "judge_accuracy_real", "Accuracy of that judge on real test features", "", words="mean of classes, patients"
        ),
        Measure(
            "judge_log_loss_real",
            "Log loss of that judge on real test features",
            "",
            words="mean of classes and patients; an uninformative classifier has the logarithm of their number",
        ),
    )
