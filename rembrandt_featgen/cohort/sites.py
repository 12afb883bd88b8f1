"""Where patients come from: a manifest's column says it, or a pattern finds it in their ids."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.cohort.visit_names import check_alike
from rembrandt_featgen.core.errors import InputError


def with_sites(cohort: Cohort, pattern: str) -> Cohort:
    """The cohort, with the site that a pattern finds in the id of each patient of whom none is known.

    Args:
      cohort: of the patients.
      pattern: regular expression whose first group finds the site in an id, such as `TCGA_([A-Z]+)_`; "" finds none.

    Raises:
      InputError: the pattern is none, or sites differ in case, blanks, - or _ alone.
    """
    found = [patient.site or site_of(patient.id, pattern) for patient in cohort.patients]
    check_alike(dict.fromkeys(found), "--cohort", "sites")
    named = [dataclasses.replace(patient, site=site) for patient, site in zip(cohort.patients, found)]
    return cohort._replace(patients=named)


def site_of(name: str, pattern: str) -> str:
    """The site that `pattern`'s first group finds in a patient's id; "" where it finds none, or is empty."""
    try:
        match = re.search(pattern, name) if pattern else None
        return (match.group(1) or "") if match else ""
    except (re.error, IndexError) as error:
        raise InputError(
            f"--site_pattern={pattern} is no regular expression with a group ({error}); write it like TCGA_([A-Z]+)_"
        ) from error


def by_site(patients: Sequence[Patient]) -> dict[str, list[str]]:
    """Ids of the patients of each site, sorted by site, for folds that leave one out.

    Raises:
      InputError: a patient has no site, or a group several, or there is one site only.
    """
    nowhere = sorted(patient.id for patient in patients if not patient.site)
    if nowhere:
        raise InputError(
            f"--cv_grouping=site: no site is known of {len(nowhere)} patients of --cohort, such as {nowhere[0]}; fill "
            "in the column that --site_column names, or give a --site_pattern whose first group finds the site in an "
            "id, such as 'TCGA_([A-Z]+)_'"
        )
    sites: dict[str, list[str]] = {patient.site: [] for patient in sorted(patients, key=lambda patient: patient.site)}
    for patient in patients:
        sites[patient.site].append(patient.id)
    check_groups([patient.group for patient in patients], [patient.site for patient in patients], "--cv_grouping=site")
    if len(sites) < 2:
        raise InputError(
            f"--cv_grouping=site: all of --cohort is of site {patients[0].site}; take --cv_grouping=patient"
        )
    return sites


def check_groups(groups: Sequence[str], sites: Sequence[str], flag: str) -> None:
    """InputError where a group has two sites, so that to leave a site out would divide it.

    Args:
      groups, sites: of each patient or sample.
      flag: for the message.
    """
    of_group: dict[str, str] = {}
    for group, site in zip(groups, sites):
        other = of_group.setdefault(group, site)
        if other != site:
            raise InputError(
                f"{flag}: group {group} has patients of {min(other, site)} and of {max(other, site)}, and no split may "
                "divide it; give it one site, or leave it out"
            )
