from pathlib import Path

import pytest

from rembrandt_featgen.cohort import patient_files
from rembrandt_featgen.cohort.patients import Patient
from rembrandt_featgen.core.errors import InputError

PATIENTS = [
    Patient("b", "x", {}, mask=Path(), site="St. Mary's, Leeds", covariates={"age": "61"}),
    Patient("a", "y", {}, mask=Path(), group="f 1", covariates={"age": ""}),
]


def test_what_is_written_is_read(tmp_path):
    path = patient_files.write_patients(tmp_path, PATIENTS, ("age", "Site"))
    assert path.read_text() == 'patient,group,site,age\nb,b,"St. Mary\'s, Leeds",61\na,f 1,,\n'
    found = patient_files.read_patients(tmp_path)
    assert found == ({"b": "b", "a": "f 1"}, {"b": "St. Mary's, Leeds", "a": ""}, ("age",))


@pytest.mark.parametrize("text", [None, "", "patient,site\n", "patient,group,site\na,b\n"])
def test_damaged_file_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "patients.csv").write_text(text)
    with pytest.raises(InputError, match="patients.csv is missing or damaged .*; delete .* so that") as caught:
        patient_files.read_patients(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
