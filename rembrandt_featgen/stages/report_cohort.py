"""Reads each patient once and writes a page about the cohort: classes, sizes, intensities, tumours, pictures, warnings.

It comes before anything is trained, for people to look at. A patient who cannot be read is listed there with the
others; the stage then stops with one line.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import logging

from rembrandt_featgen import stages
from rembrandt_featgen.cohort import spacing
from rembrandt_featgen.core import cli, json_files, provenance, registry, remarks, rundir
from rembrandt_featgen.core.errors import InputError
from rembrandt_featgen.data import cohort_survey, shared_slices
from rembrandt_featgen.data.patient_survey import PatientSurvey
from rembrandt_featgen.reporting import cohort_figures, cohort_page, cohort_text
from rembrandt_featgen.stages import pseudonym_flags, shared_flags, slice_flags


@dataclasses.dataclass(frozen=True)
class Config:
    """Flags of the stage."""

    run_dir: str = shared_flags.run_dir()
    cohort: str = shared_flags.cohort()
    layout: str = shared_flags.layout()
    classes: tuple[str, ...] = shared_flags.classes()
    modalities: tuple[str, ...] = shared_flags.modalities()
    labels_table: str = shared_flags.labels_table()
    label_column: str = shared_flags.label_column()
    patient_column: str = shared_flags.patient_column()
    group_column: str = shared_flags.group_column()
    group_pattern: str = shared_flags.group_pattern()
    site_column: str = shared_flags.site_column()
    site_pattern: str = shared_flags.site_pattern()
    incomplete: str = shared_flags.incomplete()
    pseudonymise: bool = pseudonym_flags.pseudonymise()
    pseudonym_key: str = pseudonym_flags.pseudonym_key()
    image_size: int = slice_flags.image_size()
    crop: str = slice_flags.crop()
    fit: str = slice_flags.fit()
    geometry: str = slice_flags.geometry()
    slice_axis: str = slice_flags.slice_axis()
    spacing: tuple[str, ...] = slice_flags.spacing()
    trust_spacing: str = slice_flags.trust_spacing()
    report_title: str = shared_flags.report_title()


def run(config: Config) -> None:
    """Writes run_dir/cohort_report: index.html, cohort.txt, patients.csv, report.json.

    Raises:
      InputError: a patient cannot be read; all is written nevertheless.
    """
    request = slice_flags.request(config)
    with remarks.kept() as said:
        cohort = shared_flags.find_cohort(config)
    known = repr([said.warnings, [(one.id, one.label, one.group, one.site) for one in cohort.patients]])
    digests = {
        "cohort": shared_slices.content_digest(cohort),
        "patients": hashlib.sha256(known.encode()).hexdigest(),
    }
    page = Path(config.run_dir) / registry.folder("report_cohort") / "index.html"
    with rundir.open_stage(
        config, "report_cohort", digests=digests, classes=cohort.classes.record, replaced=True
    ) as stage:
        if not stage.done:
            journal = stage.path / "checkpoints" / "patients.jsonl"  # goes when the stage is done
            journal.parent.mkdir(exist_ok=True)
            found = cohort_survey.survey_cohort(cohort, request, journal=journal)
            report = cohort_survey.report(
                found,
                cohort,
                request,
                source=str(config.cohort),
                trust_spacing=config.trust_spacing,
                remarks=said.warnings,
                notes=said.notes,
            )
            settings = {**stage.record["config"], "layout": cohort.layout, "labels_table": cohort.table}
            report |= {"settings": settings, "versions": provenance.versions()}
            title = config.report_title or Path(config.run_dir).resolve().name
            _write(stage.path, json_files.plain(report), found, title=title)
            stage.complete(**{name: report[name] for name in ("problems", "findings", "verdict", "spacing")})
            for line in report["findings"][len(said.warnings) :]:  # these were logged
                logging.warning("cohort: %s", line)
    logging.info("cohort report: %s: %s", page, stage.record["figures"]["verdict"])
    _refuse(stage.record["figures"]["problems"], page)
    if "spacing" in stage.record["figures"]:
        spacing.check_resampling(config.spacing, spacing.Judgement(**stage.record["figures"]["spacing"]))


def _write(folder: Path, report: Mapping, found: Sequence[PatientSurvey], *, title: str) -> None:
    """Writes report.json, the page, the text and the table."""
    json_files.write_json(folder / "report.json", report)
    pictures = {
        one.patient: [cohort_figures.thumbnail(grey, one.picture.mask) for grey in one.picture.greys]
        for one in found
        if one.picture
    }
    links = {name: name for name in ("report.json", cohort_text.CSV, cohort_text.TEXT)}
    html = cohort_page.render(report, pictures, {"title": title, "links": links})
    (folder / "index.html").write_text(html, encoding="utf-8")
    (folder / cohort_text.TEXT).write_text(cohort_text.text(report), encoding="utf-8")
    (folder / cohort_text.CSV).write_text(cohort_text.patients_csv(report), encoding="utf-8")


def _refuse(problems: Sequence[Mapping], page: Path) -> None:
    """InputError for the first patient who cannot be read, which counts the others."""
    if problems:
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        raise InputError(f"{problems[0]['problem']}{more}; {page} lists all and shows the other patients")


def main() -> None:
    """Entry point of the binary."""
    cli.main(Config, run, about=__doc__, known_elsewhere=stages.all_flags)


if __name__ == "__main__":
    main()
