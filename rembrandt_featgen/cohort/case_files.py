"""Folders of one patient's visit each, whose files are named by the visit and by what they show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from rembrandt_featgen.cohort import modality_names
from rembrandt_featgen.cohort.patients import MASK, Problem, ways_out

# Of images that layouts look for; unpacked or converted files are taken, too.
ENDINGS = (".nii.gz", ".nii", ".mha", ".nrrd", ".mgz")
_SHOWN = 4  # files that a message names
_COPY = re.compile(r"( ?\(\d+\)| - Copy( \(\d+\))?| copy( \d+)?)$", re.IGNORECASE)  # of a second download, or by hand


class Naming(NamedTuple):
    """How a data set names the files of a visit.

    Attributes:
      start: regular expression of what their names begin with, in which {id} stands for the visit's id.
      masks: what names of masks go on with, the preferred first.
      spelt: modality, in this program's words, to what names go on with; of others, the modality itself.
      dropped: regular expression of what names end in beside that.
      shown: what a name looks like, for messages, with {id} and {name}.
    """

    start: str = "{id}[_-]"
    masks: tuple[str, ...] = ("seg",)
    spelt: Mapping[str, str] = {}
    dropped: str = ""
    shown: str = "{id}_{name}"


class Named(NamedTuple):
    """A file, and what its name goes on with after the visit's id."""

    name: str
    file: Path


def stem(file: str) -> str:
    """The name of an image's file without its ending; "" where it has none of ENDINGS, or is hidden."""
    ending = next((ending for ending in ENDINGS if file.lower().endswith(ending)), "")
    return file[: -len(ending)] if ending and not file.startswith(".") else ""


def images_in(folder: Path) -> list[Path]:
    """Images in a folder, sorted."""
    return [file for file in sorted(folder.iterdir()) if stem(file.name) and file.is_file()] if folder.is_dir() else []


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, sorted, but for hidden ones."""
    return [f for f in sorted(folder.iterdir()) if f.is_dir() and not f.name.startswith(".")] if folder.is_dir() else []


def folders_named(root: Path, pattern: str, depth: int = 3) -> Iterator[Path]:
    """Folders below `root` whose whole names a regular expression finds, but for those within such folders.

    Args:
      root: where to look.
      pattern: of names.
      depth: levels of folders to look through.
    """
    for folder in subfolders(root):
        if re.fullmatch(pattern, folder.name):
            yield folder
        elif depth > 1:
            yield from folders_named(folder, pattern, depth - 1)


def folders_with_images(count: int) -> str:
    """How many they are, with the verb."""
    return "1 folder with images is" if count == 1 else f"{count} folders with images are"


def visit_folders(cohort: Path, pattern: str, files_in: Callable[[Path], Sequence[Path]] = images_in) -> list[Path]:
    """`folders_named`; warns of folders beside them with images that are named otherwise, and so of no visit.

    Args:
      cohort: where to look.
      pattern: of the folders' names.
      files_in: images in a folder.
    """
    found = list(folders_named(cohort, pattern))
    others = [
        folder
        for parent in sorted({folder.parent for folder in found})
        for folder in subfolders(parent)
        if not re.fullmatch(pattern, folder.name) and files_in(folder)
    ]
    if others:
        logging.warning(
            "--cohort=%s: %s left out, not named like the others, such as %s beside %s; rename those of patients, too",
            cohort,
            folders_with_images(len(others)),
            others[0].name,
            found[0].name,
        )
    return found


def named_files(files: Sequence[Path], name: str, naming: Naming) -> list[Named]:
    """Those of some files that are named as `naming` says for the visit `name`."""
    start = re.compile(naming.start.replace("{id}", re.escape(name)))
    found = []
    for file in files:
        match = start.match(stem(file.name))
        if match:
            rest = stem(file.name)[match.end() :]
            found.append(Named(re.sub(f"(?:{naming.dropped})$", "", rest) if naming.dropped else rest, file))
    return found


def finder(where: Path, files: Sequence[Path], *, name: str, naming: Naming) -> Callable[[str], Path]:
    """What finds the file of a modality or the mask among those of a visit.

    Args:
      where: folder, for messages.
      files: images in it.
      name: id of the visit.
      naming: of the files.
    """
    named = named_files(files, name, naming)
    copies = sorted(file.name for file in files if _COPY.search(stem(file.name)))
    if copies:
        logging.warning(
            "%s: %s not read, by name a copy of another file; delete it, or rename it if it is the right one",
            where,
            f"{copies[0]} and {len(copies) - 1} more like it are" if copies[1:] else f"{copies[0]} is",
        )

    def find(wanted: str) -> Path:
        for hits in _hits(named, wanted, naming.masks):
            if len(hits) > 1:
                both = " and ".join(sorted(file.name for file in hits)[:2])
                raise Problem("both", f"{where}: both {both}; keep one of them in --cohort")
            if hits:
                return hits[0]
        spelt = naming.masks[0] if wanted == MASK else naming.spelt.get(modality_names.canonical(wanted), wanted)
        expected = naming.shown.format(id=name, name=spelt)
        raise Problem(
            wanted,
            f"{where}: no {wanted}, found {shown(where, files)}, expected {expected}.nii.gz or {expected}.nii; add it, "
            f"or {ways_out(wanted)}",
        )

    return find


def _hits(named: Sequence[Named], wanted: str, masks: Sequence[str]) -> Iterator[list[Path]]:
    """Files of what is wanted: for each name that it may have, the preferred first."""
    if wanted == MASK:
        for mask in masks:
            yield [file for name, file in named if modality_names.normal(name) == modality_names.normal(mask)]
    else:
        yield [file for name, file in named if modality_names.normal(name) == modality_names.normal(wanted)]
        yield [file for name, file in named if modality_names.same(name, wanted)]


def shown(where: Path, files: Sequence[Path]) -> str:
    """Some names of what is there, for messages."""
    names = sorted(file.name for file in files or (where.iterdir() if where.is_dir() else ()))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "nothing"
