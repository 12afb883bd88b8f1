"""The verdict of a run: of the study of its features where there is one; of one training alone there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rembrandt_featgen.reporting import records

HELPED, HARMED, UNDECIDED = "helped", "harmed", "undecided"
STUDY_PAGE = "../study/index.html"  # from the folder of the run's report
_ROW = ("arm", "kind", "classifier", "unit", "n", "auroc")


def of_study(report: Mapping) -> dict:
    """What report.json of a run takes from that of the study of its features.

    Args:
      report: report.json of the study.
    """
    rows = [
        {**{name: row.get(name) for name in _ROW}, "ci95": {"auroc": records.dig(row, "ci95", "auroc")}}
        for row in records.arms(report)
    ]
    return {
        "verdict": report.get("verdict"),
        "verdict_word": report.get("verdict_word") or UNDECIDED,
        "verdict_rule": report.get("verdict_rule"),
        "arms": rows,
    }


def of_one_training(rows: Sequence[Mapping]) -> dict:
    """The same of a run without a study, whose classifiers were trained once.

    Args:
      rows: of the table of its classifiers, per patient and per slice.
    """
    of_patients = {row["arm"]: row for row in rows if (row.get("unit"), row.get("classifier")) == ("patient", "cnn")}
    numbers = [records.value(of_patients.get(arm, {}), "auroc") for arm in ("baseline", "augmented")]
    shown = ["not defined" if number is None else f"{number:.3f}" for number in numbers]
    return {
        "verdict": "Undecided: each classifier was trained once, and another seed can turn the difference round. AUROC "
        f"per patient of the CNN: {shown[0]} on real features alone, {shown[1]} with generated ones.",
        "verdict_word": UNDECIDED,
        "verdict_rule": "Only a study, which trains several times, can say helped, harmed or equivalent: leave out "
        "--study_features=false, or run crossvalidate.",
        "arms": [],
    }


def of_paper(comparison: Mapping) -> str:
    """The paper's comparison, of one training, in a sentence.

    Args:
      comparison: of the CNN with generated features and the one without: "difference" of AUROC per patient, and
        "ci95".
    """
    difference, bounds = records.finite(comparison.get("difference")), records.pair(comparison.get("ci95"))
    if difference is None or bounds is None:
        return "The paper's comparison, of the CNN with and without generated features, is not defined here."
    return (
        f"The paper's comparison, AUROC per patient of the CNN with generated features less that without: "
        f"{difference:+.3f} (95% interval over patients {bounds[0]:+.3f} to {bounds[1]:+.3f}). Each was trained once, "
        "which the interval does not allow for: no verdict rests on it."
    )
