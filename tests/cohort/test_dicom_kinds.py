"""What a series shows by its description and times, as scanners and technicians write them."""

import pytest

from rembrandt_featgen.cohort import dicom_files, dicom_kinds


def _header(description="", times="", **more):
    """A header with TR/TE/TI written as "9000/120/2250"."""
    numbers = dict(zip(("repetition", "echo", "inversion"), times.split("/"))) if times else {}
    return {**dict.fromkeys(dicom_files.TAGS, ""), "modality": "MR", "description": description, **numbers, **more}


@pytest.mark.parametrize(
    ("kind", "description", "times", "more"),
    [
        ("flair", "AX FLAIR", "10002/148/2200", {}),
        ("flair", "FLAIR AXIAL", "", {}),
        ("flair", "t2_tirm_tra_dark-fluid", "9000/81/2500", {}),
        ("flair", "AX T2 FLAIR", "8002/125/2000", {"agent": "MAGNEVIST"}),
        ("flair", "AX T2", "9000/120/2250", {"scanning": "SE\\IR"}),
        ("flair", "AXIAL", "9000/120/2250", {"sequence": "*tir2d1_21"}),
        ("flair", "", "", {"protocol": "FLAIR"}),
        ("t1", "AX T1 FLAIR", "2200/12/860", {}),
        ("t1ce", "Ax T1 FLAIR +C", "2200/12/860", {}),
        ("t1", "SAG T1 FLAIR", "", {}),
        ("t1", "SAG FLAIR", "1800/9/750", {}),
        ("", "COR FLAIR", "4000/60/150", {}),
        ("t1", "AX T1 PRE GD", "500/14", {}),
        ("t1", "T1 W/O CONTRAST", "500/14", {"agent": "OMNISCAN"}),
        ("t1", "AX T1", "500/14", {}),
        ("t1", "AX T1", "500/14", {"agent": "None"}),
        ("t1", "AX T1", "500/14", {"protocol": "BRAIN W/WO CONTRAST"}),
        ("t1ce", "AX T1", "500/14", {"agent": "MAGNEVIST 20ML"}),
        ("t1ce", "AX T1 POST", "500/14", {}),
        ("t1ce", "T1_SE_TRA_GD", "500/14", {}),
        ("t1ce", "AX C+ T1", "500/14", {}),
        ("t1ce", "MPRAGE POST CONTRAST", "1900/3/900", {}),
        ("t1", "", "450/12", {"scanning": "SE"}),
        ("t2", "AX T2 FSE", "4000/102", {}),
        ("t2", "", "4000/102", {}),
        ("pd", "AX PD/T2", "2500/15", {}),
        ("t2", "AX PD/T2", "2500/90", {}),
        ("pd", "", "2500/15", {}),
        ("ct", "HEAD", "", {"modality": "CT"}),
        ("", "SCOUT", "", {"modality": "CT"}),
        ("", "3-PLANE LOC", "", {}),
        ("", "AX DWI", "8000/100", {}),
        ("", "ep2d_diff_3scan_trace_ADC", "8000/100", {}),
        ("", "AX T2* GRE", "800/20", {}),
        ("", "PERFUSION", "2000/30", {}),
        ("", "TOF 3D", "30/5", {}),
        ("", "FLAIR", "", {"type": "DERIVED\\SECONDARY\\MIP"}),
        ("", "FLAIR", "", {"type": "DERIVED\\SECONDARY\\PROJECTION IMAGE\\CSA MIP\\M"}),
        ("flair", "FLAIR", "", {"type": "DERIVED\\PRIMARY\\M\\NORM"}),
        ("flair", "FLAIR_FA12", "", {}),
        ("", "T1 SUBTRACTION", "", {}),
        ("", "FLAIR", "", {"modality": "PT"}),
        ("", "", "", {}),
    ],
)
def test_kind(kind, description, times, more):
    known = dicom_kinds.kind_of(_header(description, times, **more))
    assert known.name == kind, known.why
    assert known.why


def test_why_tells_what_it_rests_on():
    assert "TR 2200 TE 12 TI 860 ms" in dicom_kinds.kind_of(_header("AX T1 FLAIR", "2200/12/860")).why
    assert "no times" in dicom_kinds.kind_of(_header("")).why
    assert "diffusion" in dicom_kinds.kind_of(_header("AX DWI")).why
