import dataclasses
from pathlib import Path

import pytest

from rembrandt_featgen.cohort import sites
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.core.errors import InputError

PATIENTS = [Patient(f"TCGA_{site}_{i}", "HGG", {}, mask=Path()) for i, site in enumerate(["CS", "DU", "CS"])]


def test_what_no_column_says_the_pattern_finds():
    patients = [dataclasses.replace(PATIENTS[0], site="Leeds"), *PATIENTS[1:]]
    found = sites.with_sites(Cohort(patients, Classes.of(("LGG", "HGG"))), "TCGA_([A-Z]+)_").patients
    assert [patient.site for patient in found] == ["Leeds", "DU", "CS"]
    assert sites.by_site(found) == {"CS": ["TCGA_CS_2"], "DU": ["TCGA_DU_1"], "Leeds": ["TCGA_CS_0"]}


@pytest.mark.parametrize("pattern", ["(TCGA", "TCGA"])
def test_pattern_without_a_group(pattern):
    with pytest.raises(InputError, match="is no regular expression with a group"):
        sites.site_of("TCGA_CS_0", pattern)


@pytest.mark.parametrize(
    ("of", "groups", "words"),
    [
        (["CS", "", ""], "abc", "no site is known of 2 patients of --cohort, such as TCGA_CS_2"),
        (["CS", "CS", "CS"], "abc", "all of --cohort is of site CS"),
        (["CS", "DU", "CS"], "aab", "group a has patients of CS and of DU"),
    ],
)
def test_sites_that_cannot_be_left_out(of, groups, words):
    patients = [dataclasses.replace(p, site=site, group=group) for p, site, group in zip(PATIENTS, of, groups)]
    with pytest.raises(InputError, match=words):
        sites.by_site(patients)


def test_sites_that_nobody_can_tell_apart():
    """To leave out Leeds would train on the patients of leeds."""
    patients = [dataclasses.replace(one, site=site) for one, site in zip(PATIENTS, ("Leeds", "", "leeds"))]
    with pytest.raises(InputError, match="--cohort: sites 'Leeds' and 'leeds' look alike, .* one site"):
        sites.with_sites(Cohort(patients, Classes.of(("LGG", "HGG"))), "")
