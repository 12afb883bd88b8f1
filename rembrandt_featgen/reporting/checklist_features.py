"""What reporting checklists are told of features, and of the networks that make them."""

from __future__ import annotations

from collections.abc import Mapping

from rembrandt_featgen.features import crops
from rembrandt_featgen.reporting import records
from rembrandt_featgen.reporting.checklist_answers import setting


def features(report: Mapping) -> str:
    """What the features of a run or a study are: maps, vectors, or both."""
    tap, vectors = (records.dig(report, "settings", name) for name in ("tap", "vectors"))
    unet, pooled = "of a U-Net trained to segment the tumour", "over the tumour that it predicts"
    parts = []
    if tap == crops.TAP:
        parts.append("outputs of a CNN of crops around the tumour that a U-Net predicts")
    elif tap or not vectors:
        parts.append(f"activations of block {setting(report, 'tap')} {unet}")
    if vectors and vectors != "numbers":
        parts.append(f"activations of blocks {setting(report, 'vector_taps')} {unet}, pooled {pooled}")
    if vectors and vectors != "taps":
        parts.append("numbers of shape, intensities and place of the tumour that a U-Net predicts")
    return "; ".join(parts)


def of_classes(report: Mapping) -> str:
    """Which of the networks that make features learnt the classes of training patients."""
    weight = records.finite(records.dig(report, "settings", "unet_class_weight"))
    lines = ["The U-Net does not see classes."]
    if weight:
        lines = [f"The U-Net learns the classes of training patients, too (unet_class_weight {weight:g})."]
    if records.dig(report, "settings", "tap") == crops.TAP:
        lines.append("The CNN of crops learns the classes of training patients.")
    return " ".join(lines)
