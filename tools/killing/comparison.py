"""What differs between the folders of two runs that should be the same: all files, byte by byte, but for `ALLOWANCES`.

A digest of a file of the folder, wherever it is written in a text, counts as the name of that file: records hold the
digests of records, which hold times.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from killing import tensorflow_files

_DIGEST = re.compile(rb"\b[0-9a-f]{64}\b")
_TEXTS = (".json", ".jsonl", ".txt", ".html", ".csv", ".md", ".tex", ".flags")
_SECONDS = re.compile(r'(?<="seconds": )[0-9.]+')
_TABLES = re.compile(r"(?s)<th scope=\"col\">seconds</th></tr></thead>.*?</table>")
_LAST_CELLS = re.compile(r"<td>[0-9,.]+</td></tr>")
Reader = Callable[[Path, dict], object]  # from a file, and a table of digests, to what is compared


@dataclasses.dataclass(frozen=True)
class Allowance:
    """Files whose bytes may differ, and what is compared in their place.

    Attributes:
      pattern: of their paths in the folder.
      read: what is compared of them; None compares that there is such a file, and no more.
      reason: why their bytes differ by nature.
    """

    pattern: str
    read: Reader | None
    reason: str


def record(path: Path, digests: dict) -> dict:
    """stage.json without times, memory, and whether it was resumed; so of those that it extends."""
    names = ("seconds", "cpu_seconds", "finished", "resumed", "peak_memory")
    found = json.loads(_content(path, digests))
    parts = [found, *found.get("extends", ())]
    shown = [{key: part[key] for key in part if key not in (*names, "extends")} for part in parts]
    return {**shown[0], "extends": shown[1:]}


def arrays(path: Path, _: dict) -> dict:
    """Name to type, shape and bits of each array of an .npz file."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            array = np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=True)
            content = array.tobytes() if array.dtype != object else [np.asarray(one).tobytes() for one in array.ravel()]
            found[name] = (str(array.dtype), array.shape, content)
    return found


def without_seconds(path: Path, digests: dict) -> str:
    """JSON without the numbers that are called seconds, or a page without the last column of tables of seconds."""
    text = _content(path, digests).decode("utf-8")
    if path.suffix == ".json":
        return _SECONDS.sub("", text)
    return _TABLES.sub(lambda table: _LAST_CELLS.sub("", table.group()), text)


ALLOWANCES = (
    Allowance("*.lock", None, "holds process, machine and time of who had it last; it locks nothing"),
    Allowance(
        "*stage.json",
        record,
        "when it was made, how long that took, how much memory, and whether it was resumed",
    ),
    Allowance("*/report/report.json", without_seconds, "holds how long each stage took"),
    Allowance("*/report/index.html", without_seconds, "has a table of how long each stage took"),
    Allowance("*fold_runs/*/log.txt", None, "what a fold said, which tells how often it was resumed, and times"),
    Allowance("*.npz", arrays, "an archive: compared array by array, bit by bit"),
    Allowance(
        "*saved_model.pb",
        lambda path, _: tensorflow_files.graphs(path),
        "functions are numbered by what the process made before: what they compute is compared, node by node",
    ),
    Allowance(
        "*variables/variables.index",
        lambda path, _: tensorflow_files.variables(path.with_suffix("")),
        "names objects by such numbers: compared variable by variable, bit by bit",
    ),
    Allowance("*variables/variables.data-00000-of-00001", None, "holds that, too; its variables are compared above"),
    Allowance("*fingerprint.pb", None, "digests of saved_model.pb and variables.index"),
)


def differences(one: Path, two: Path) -> list[str]:
    """A line for each file that is missing, too many, or different.

    Args:
      one: of the unbroken run.
      two: of the other one.
    """
    first, second = _files(one), _files(two)
    found = [f"{path}: missing" for path in sorted(first.keys() - second.keys())]
    found += [f"{path}: too many" for path in sorted(second.keys() - first.keys())]
    digests = [_digests(files) for files in (first, second)]
    for path in sorted(first.keys() & second.keys()):
        links = [str(files[path].readlink()) if files[path].is_symlink() else "" for files in (first, second)]
        if links[0] != links[1]:
            found.append(f"{path}: leads to {links[0]!r}, {links[1]!r}")
        if path.endswith("/") or any(links) or first[path].read_bytes() == second[path].read_bytes():
            continue
        allowance = allowance_of(path)
        if allowance and allowance.read is None:
            continue
        read: Reader = allowance.read if allowance and allowance.read else _content
        values = [read(files[path], known) for files, known in zip((first, second), digests)]
        if values[0] != values[1]:
            found.append(f"{path}: {_said(values)}")
    return found + _differing_events(one, two)


def allowance_of(path: str) -> Allowance | None:
    """What is allowed of a file, by its path in the folder; None for the most."""
    return next((one for one in ALLOWANCES if fnmatch.fnmatchcase(path, one.pattern)), None)


def _files(folder: Path) -> dict[str, Path]:
    """Path in the folder to each file, and, with a slash at the end, each folder without files; events are apart."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                found[f"{name}/"] = path
        elif ".tfevents." not in path.name:
            found[name] = path
    return found


def _digests(files: dict[str, Path]) -> dict[bytes, bytes]:
    return {
        hashlib.sha256(path.read_bytes()).hexdigest().encode(): f"digest of {name}".encode()
        for name, path in files.items()
        if path.is_file() and not path.is_symlink()
    }


def _content(path: Path, digests: dict[bytes, bytes]) -> bytes:
    """Bytes of a file; of a text, with names in place of digests."""
    content = path.read_bytes()
    if path.suffix not in _TEXTS:
        return content
    return _DIGEST.sub(lambda match: digests.get(match.group(), match.group()), content)


def _differing_events(one: Path, two: Path) -> list[str]:
    folders = [{path.parent.relative_to(home) for path in home.rglob("*.tfevents.*")} for home in (one, two)]
    found = [f"{folder}: events in one of both alone" for folder in sorted(folders[0] ^ folders[1])]
    for folder in sorted(folders[0] & folders[1]):
        first, second = (tensorflow_files.events(home / folder) for home in (one, two))
        differ = [key for key in {**first, **second} if first.get(key) != second.get(key)]
        if differ:
            found.append(f"{folder}: {len(differ)} events differ, such as {differ[0]}")
    return found


def _said(values) -> str:
    """What differs first, in some words."""
    one, two = values
    if isinstance(one, dict) and isinstance(two, dict):
        keys = [key for key in {**one, **two} if one.get(key) != two.get(key)]
        shown = [(str(values.get(keys[0]))[:80]) for values in (one, two)]
        return f"{', '.join(map(str, keys[:5]))} differ: {shown[0]!r}, {shown[1]!r}"
    if len(one) != len(two):
        return f"of {len(one)} and {len(two)} bytes"
    place = next(number for number, pair in enumerate(zip(one, two)) if pair[0] != pair[1])
    return f"from byte {place} on: {one[place - 30 : place + 30]!r}, {two[place - 30 : place + 30]!r}"
