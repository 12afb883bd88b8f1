"""What a DICOM series shows, by its header: FLAIR, T1 without and with contrast agent, T2, CT, or something else.

Names that technicians give say most, but not all: "T1 FLAIR" is a T1, which its echo time shows, and a FLAIR may be
called "T2 dark fluid" or nothing at all. Times in ms, as usual in clinical brain MRI at 1.5 and 3 T: Bitar et al., MR
Pulse Sequences: What Every Radiologist Wants to Know but Is Afraid to Ask, Radiographics 2006, 26:513.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

KINDS = ("flair", "t1", "t1ce", "t2", "pd", "ct")
_FLAIR = re.compile(r"flair|dark.?fl|tirm")
_T1 = re.compile(r"(?<![a-z0-9])t1|mp.?rage|spgr|bravo|vibe|\btfl")
_T2 = re.compile(r"(?<![a-z0-9])t2")
_PD = re.compile(r"(?<![a-z])pd(?![a-z])|proton|density")
_AGENT = re.compile(
    r"(?<![a-z])(post|gd|gad[a-z]*|contrast|ce|enh[a-z]*|dotarem|[a-z]+vist|[a-z]+hance)(?![a-z])"
    r"|\+ ?c(?![a-z])|(?<![a-z])c ?\+"
)
_NO_AGENT = re.compile(r"(?<![a-z])(pre|non|no|w/?o|without|un-?enh[a-z]*|native)(?![a-z])|noncon")
_NO_AGENT_TAG = ("", "no", "none", "n", "0", "false", "no contrast")
_BLOOD = "of blood or vessels"
# What a series is that is none of KINDS, by its description.
_OTHERS = (
    ("a localizer", re.compile(r"local|scout|survey|topo|surview|(3|three).?pl|(?<![a-z])loc(?![a-z])|smart ?brain")),
    ("diffusion", re.compile(r"dwi|diff|tensor|(?<![a-z])(adc|e?dti|fa|trace|ivim|isotropic)(?![a-z0-9])")),
    ("perfusion", re.compile(r"perf|(?<![a-z])(dsc|dce|pwi|asl|r?cb[fv]|mtt|ttp|k2|leakage)(?![a-z])")),
    (_BLOOD, re.compile(r"swi|suscep|t2\*|t2.?star|hemo|angio|venog|(?<![a-z])(mra|mrv|tof|swan|gre|ffe)(?![a-z])")),
    ("spectroscopy", re.compile(r"spectro|(?<![a-z])(csi|svs|mrs|press)(?![a-z])")),
    ("functional MRI", re.compile(r"bold|fmri|(?<![a-z])epi(?![a-z])|resting")),
    ("STIR", re.compile(r"(?<![a-z])stir")),
    ("a difference of images", re.compile(r"subtr|(?<![a-z])sub(?![a-z])")),
)
_DERIVED = re.compile(r"\b(adc|localizer|m(in)?ip|projection|subtract(ion)?|t[12] map)\b")  # types of images
_LONG_ECHO = 50.0  # of T2 and FLAIR; T1 and PD have shorter ones
_FLUID = (1500.0, 3500.0)  # time of inversion at which fluid is dark
_LONG_REPETITION = 1800.0  # of T2, PD and FLAIR


class Kind(NamedTuple):
    """What a series shows: one of `KINDS` or "", and in words why."""

    name: str
    why: str


def kind_of(header: Mapping[str, str]) -> Kind:
    """What a series shows.

    Args:
      header: by the names of `dicom_files.TAGS`; "" where a tag is not there.
    """
    modality, text = header["modality"].upper(), header["description"].lower()
    derived = _DERIVED.search(header["type"].lower().replace("\\", " \\ "))
    if derived:
        return Kind("", f"not an image as it was acquired ({derived[0]}, its header says)")
    for what, pattern in _OTHERS:
        if pattern.search(text) and not (what == _BLOOD and _T1.search(text)):
            return Kind("", f"{what}, by its description")
    if modality == "CT":
        return Kind("ct", "a CT")
    if modality != "MR":
        return Kind("", f"of modality {modality or 'unknown'}, neither MR nor CT")
    named = _named(text, header)
    if named is None:
        named = _timed(header) or _named(header["protocol"].lower(), header)
    if named is None:
        return Kind("", f"neither its description nor its times ({times_of(header)}) say what it shows")
    return named


def _named(text: str, header: Mapping[str, str]) -> Kind | None:
    """By what a description says, which times may correct; None where it says nothing."""
    echo, inversion = _number(header, "echo"), _number(header, "inversion")
    shown = f"{text!r}, {times_of(header)}"
    if _FLAIR.search(text):
        if 0 < echo < _LONG_ECHO:
            return _t1(text, header, f"called FLAIR, but T1-weighted by its echo time ({shown})")
        if 0 < inversion < _FLUID[0]:
            return Kind("", f"called FLAIR, but fluid is not dark at its time of inversion ({shown})")
        if _T1.search(text) and not echo:
            return _t1(text, header, f"a T1 FLAIR by its description ({shown})")
        return Kind("flair", f"FLAIR, its description says ({shown})")
    if _T2.search(text) and not _T1.search(text):
        if _is_flair(header):
            return Kind("flair", f"FLAIR by its time of inversion, though called T2 ({shown})")
        if _PD.search(text) and 0 < echo < _LONG_ECHO:
            return Kind("pd", f"proton density by its echo time ({shown})")
        return Kind("t2", f"T2, its description says ({shown})")
    if _T1.search(text):
        return _t1(text, header, f"T1, its description says ({shown})")
    if _PD.search(text):
        return Kind("pd", f"proton density, its description says ({shown})")
    return None


def _timed(header: Mapping[str, str]) -> Kind | None:
    """By echo, repetition and inversion time alone; None where they do not say."""
    echo, repetition, text = _number(header, "echo"), _number(header, "repetition"), header["description"].lower()
    if _is_flair(header):
        return Kind("flair", f"FLAIR by its times ({times_of(header)}), which its description {text!r} does not say")
    if not echo or not repetition or _number(header, "inversion"):
        return None
    if repetition >= _LONG_REPETITION:
        name = "t2" if echo >= _LONG_ECHO else "pd"
        return Kind(name, f"{name} by its times ({times_of(header)}), which its description {text!r} does not say")
    if echo < _LONG_ECHO and "SE" in header["scanning"].upper():
        return _t1(text, header, f"T1 by its times ({times_of(header)}), which its description {text!r} does not say")
    return None


def _is_flair(header: Mapping[str, str]) -> bool:
    scanning = f"{header['scanning']} {header['sequence']}".upper()  # of Siemens *tir2d1 and the like
    return (
        _FLUID[0] <= _number(header, "inversion") <= _FLUID[1]
        and _number(header, "echo") >= _LONG_ECHO
        and (not scanning.strip() or "IR" in scanning or "RM" in scanning)
    )


def _t1(text: str, header: Mapping[str, str], why: str) -> Kind:
    """T1 without or with contrast agent: what the description says counts, then the tag of the agent."""
    if _NO_AGENT.search(text):
        return Kind("t1", f"{why}; without contrast agent, its description says")
    if _AGENT.search(text):
        return Kind("t1ce", f"{why}; with contrast agent, its description says")
    if header["agent"].strip().lower() not in _NO_AGENT_TAG:
        return Kind("t1ce", f"{why}; with contrast agent, its header says")
    return Kind("t1", f"{why}; nothing says that a contrast agent was given")


def times_of(header: Mapping[str, str]) -> str:
    """TR, TE and TI in words."""
    known = {"TR": "repetition", "TE": "echo", "TI": "inversion"}
    given = [f"{short} {_number(header, name):g}" for short, name in known.items() if _number(header, name)]
    return f"{' '.join(given)} ms" if given else "no times"


def _number(header: Mapping[str, str], name: str) -> float:
    """A number of the header; 0 where there is none."""
    try:
        return float(header[name].split("\\")[0])
    except ValueError:
        return 0.0
