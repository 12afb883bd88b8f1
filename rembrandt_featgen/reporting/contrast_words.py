"""The contrast of the best pipelines in words, for checklists and the methods paragraph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rembrandt_featgen.reporting import records, study_design, verdict_records


def best(report: Mapping) -> Mapping | None:
    """The contrast of the best pipelines, on which the verdict rests; None where nothing was compared."""
    return next(filter(verdict_records.is_of_best, verdict_records.compared(report)), None)


def compared(report: Mapping) -> str:
    """AUROC of the two pipelines that met on the test patients, and their difference; "" where that is not known."""
    one = best(report)
    sides: list[str] = []
    for side, words in (("without", "without generation"), ("with", "with it")):
        auroc, name = (
            records.finite(records.dig(one, side, "auroc")),
            verdict_records.most_chosen(records.dig(one, side)),
        )
        if auroc is None:
            return ""
        sides.append(f"{auroc:.3f} {words}" + (f" (most often {name})" if name else ""))
    gap = records.finite(records.dig(one, "difference", "difference"))
    bounds = records.pair(records.dig(one, "difference", "ci95"))
    if gap is None:
        return ""
    interval = f" [{bounds[0]:+.3f}, {bounds[1]:+.3f}]" if bounds else ", without an interval"
    return f"AUROC per patient {' and '.join(sides)}, difference {gap:+.3f}{interval}"


def conclusion(report: Mapping) -> str:
    """What the study concludes of the best pipelines, as a sentence; that of the verdict where there is no more."""
    word, found = verdict_records.known_word(records.dig(best(report), "word")), compared(report)
    if not word or not found:
        verdict = report.get("verdict")
        return verdict if isinstance(verdict, str) else ""
    total = records.total(study_design.tested(report))
    patients = f"; {total} patients tested" if total else ""
    answers = {
        "helped": "Generated samples helped the pipeline that validation patients choose",
        "harmed": "Generated samples harmed the pipeline that validation patients choose",
        "equivalent": "The pipelines that validation patients choose with and without generated samples were "
        "equivalent",
        "undecided": "Whether generated samples help the pipeline that validation patients choose remained undecided",
    }
    return f"{answers[word]}: {found}{patients}."


def rows_of_best(report: Mapping) -> list[Mapping]:
    """Rows of the arms that the two pipelines took most often; of the references, where nothing was compared."""
    rows, one = records.arms(report), best(report)
    if one is None:
        return [row for row in rows if records.is_reference(report, row)]
    found: list[Mapping] = []
    for side in ("without", "with"):
        chosen = verdict_records.chosen(records.dig(one, side))
        found += _rows(rows, chosen[0][0]) if chosen else []
    return found


def _rows(rows: Sequence[Mapping], pipeline: str) -> list[Mapping]:
    """Rows of a pipeline, "ridge/smote/1"."""
    parts = pipeline.split("/")
    return [row for row in rows if [row.get("classifier"), row.get("arm")] == parts[:2]]
