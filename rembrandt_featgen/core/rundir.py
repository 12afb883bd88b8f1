"""A run's folder: one subfolder a stage, each complete or absent, resumable, and tied to its inputs by digests."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from rembrandt_featgen.core import cli, folder_renaming, made_by, memory, paths, provenance, registry
from rembrandt_featgen.core.errors import InputError, carried_by
from rembrandt_featgen.core.folders import lock, make_folder
from rembrandt_featgen.core.json_files import plain, read_json, write_json
from rembrandt_featgen.core.paths import remove_folder

RECORD = "stage.json"
_PARTS = ("config", "inputs", "figures", "classes", "versions")  # of a record, in which each thing has a name
SETTINGS = "settings.json"  # of a stage at work
_when_finished: list[Callable[[Path, dict], object]] = []


@dataclasses.dataclass
class Stage:
    """A stage at work.

    Attributes:
      name: name of the stage's folder.
      path: where to write: a temporary sibling while the stage runs, the final folder when it is `done`.
      logs: the folder of the stage's TensorBoard events.
      done: whether a finished stage with the same config and inputs was found.
      record: what stage.json holds; once the stage is complete, also its figures.
    """

    name: str
    path: Path
    logs: Path
    done: bool
    record: dict

    def complete(self, **figures) -> dict:
        """Says that everything is written; `figures` (JSON values) go into stage.json."""
        self.record["figures"] = plain(figures)
        self.done = True
        return self.record


class Found(NamedTuple):
    """A finished stage.

    Attributes:
      folder: where it is.
      record: its stage.json.
      digest: stands for its content.
    """

    folder: Path
    record: dict
    digest: str


@contextlib.contextmanager
def open_stage(
    config,
    name: str,
    inputs: Sequence[Found] = (),
    *,
    digests: Mapping[str, str] | None = None,
    kind: str = "",
    classes: Mapping | None = None,
    replaced: bool = False,
    kept: made_by.Kept | None = None,
) -> Iterator[Stage]:
    """Opens the folder of a stage in `config.run_dir` for writing, or finds it finished.

    The body writes into `stage.path` and ends with `stage.complete(...)`; the folder is then renamed into place,
    stage.json last. A body that is killed leaves `<folder>.part`, in which the next run resumes.

    Args:
      config: the stage's config; all its settings must agree with those of what is found, but for run_dir, and for
        other paths where what is read, by `inputs` and `digests`, is the same.
      name: of the stage in `registry.STAGES`.
      inputs: the finished stages that it reads, each of which must be in `config.run_dir`.
      digests: digest of each other thing that it reads, by name.
      kind: of generator, for the stages that have a folder for each.
      classes: the record of the classes of this run, which stage.json keeps; None takes it from the inputs.
      replaced: whether what was made with other settings is done again, and not refused: nothing rests on it.
      kept: what serves where settings changed that leave it right: the stage is done again with it, and what is found
        stays until that is finished. None refuses all changes, but for `replaced`.

    Raises:
      InputError: what is found was made with other settings or by version 0.1, or another process is at work on it.
      OSError: the run's folder cannot be written to, and the stage is not finished.
    """
    run_dir, folder = Path(config.run_dir), registry.folder(name, kind)
    final, work = run_dir / folder, part_of(run_dir, name, kind)
    settings = _settings(config)
    read = {entry.folder.name: entry.digest for entry in inputs} | dict(digests or {})
    record: dict = {"stage": name, "config": settings, "inputs": read}
    carried = [entry for entry in (classes, *(found.record.get("classes") for found in inputs)) if entry]
    if carried:
        record["classes"] = carried[0]
    if kind:
        record["kind"] = kind
    logs = run_dir / "tensorboard" / folder

    def changed(found: Mapping) -> list[str]:
        # Where the content of files is the same, their paths may be written otherwise, as from another current folder.
        free = cli.path_flags(config) if found["inputs"] == record["inputs"] else ()
        return made_by.changed(found, settings, free=free)

    def agrees(folder: Path, found: Mapping) -> bool:
        made_by.check(folder, found, settings, names=() if replaced else changed(found))
        return not changed(found) and found["inputs"] == record["inputs"]

    def serves(found: Mapping) -> bool:
        same = found["inputs"] == record["inputs"]
        return same and made_by.serves(kept, found, settings, names=changed(found))

    make_folder(run_dir, "--run_dir")
    _refuse_run_of_before(run_dir)
    with lock(run_dir / f".{folder}.lock", final) as refused:
        if refused is None:
            _end_what_was_killed(final, work)
        if final.exists():
            found = _read_record(final / RECORD)
            _refuse_before(final, found)
            extends = serves(found)
            if not extends and agrees(final, found):
                if refused is None:
                    _drop_scaffolding(final)
                logging.info("%s: done before, skipped (delete %s to redo it)", folder, final)
                yield Stage(folder, final, logs, done=True, record=found)
                return
            _raise(refused)
            if extends:
                words = ", ".join(made_by.change(flag, found["config"], settings) for flag in changed(found))
                logging.info("%s: made by %s; what is there serves, and the rest is done", folder, words)
                record["extends"] = made_by.extends(found, changed(found))
            else:
                logging.info("%s: its inputs%s have changed, so it is done again", folder, " or flags" * replaced)
                _discard(final)
        _raise(refused)
        resumed = (work / SETTINGS).exists()
        if resumed:
            found = _read_record(work / SETTINGS)
            resumed = serves(found) or agrees(work, found)
        if not resumed:
            _discard(work)
            shutil.rmtree(logs, ignore_errors=True)
        work.mkdir(exist_ok=True)
        if final.exists() and kept is not None and not resumed:
            for path in (path for pattern in kept.files for path in final.glob(pattern)):
                shutil.copy2(path, work / path.name)
        write_json(work / SETTINGS, record)  # after what is kept: without it nothing of this folder is trusted
        (work / "flags.txt").write_text(cli.flagfile_text(config), encoding="utf-8")
        stage, start, cpu_start = Stage(folder, work, logs, done=False, record=record), time.time(), time.process_time()
        try:
            with memory.peak_of(name) as peak:
                yield stage
        except Exception as error:
            readable = carried_by(error)
            if readable is None:
                raise
            if not resumed and not any(work.rglob("checkpoints")):
                _discard(work)
            if readable is error:
                raise
            raise readable from error
        if not stage.done:
            raise RuntimeError(f"stage {name} ended without stage.complete()")
        record |= {"seconds": round(time.time() - start, 1), "resumed": resumed, "peak_memory": peak.size}
        record |= {"cpu_seconds": round(time.process_time() - cpu_start, 1)}
        record |= {"versions": provenance.versions(), "commit": provenance.commit()}
        record.setdefault("device", provenance.device())
        record["finished"] = time.strftime("%Y-%m-%dT%H:%M:%S")
        write_json(work / RECORD, record)
        if final.exists():  # what this extends
            folder_renaming.rename(final, _old(final))
        folder_renaming.rename(work, final)
        _discard(_old(final))
        for act in list(_when_finished):
            act(final, record)
        _drop_scaffolding(final)
        stage.path = final


@contextlib.contextmanager
def when_finished(act: Callable[[Path, dict], object]) -> Iterator[None]:
    """Calls `act` meanwhile with the folder and the record of each stage that is finished.

    What only a stage at work needs, such as checkpoints, is still there then.
    """
    _when_finished.append(act)
    try:
        yield
    finally:
        _when_finished.remove(act)


@contextlib.contextmanager
def open_copy(config, name: str, kind: str = "") -> Iterator[Stage]:
    """Opens a temporary copy of the folder of a stage that another process, the chief of the workers, has open.

    The copy has what a training resumes from, and is deleted at the end: the chief's alone is read. No lock is held.

    Args:
      config, name, kind: as for `open_stage`, which the chief was given.

    Raises:
      InputError: the chief was given other settings.
    """
    run_dir, folder = Path(config.run_dir), registry.folder(name, kind)
    if is_done(run_dir, name, kind):
        final = run_dir / folder
        yield Stage(folder, final, run_dir / "tensorboard" / folder, done=True, record=read_json(final / RECORD))
        return
    work = part_of(config.run_dir, name, kind)
    record = read_json(work / SETTINGS)
    settings = _settings(config)
    made_by.check(work, record, settings, names=made_by.changed(record, settings, free=cli.path_flags(config)))
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / folder
        shutil.copytree(work, path, ignore=shutil.ignore_patterns("*.tfrecord*", "*.jsonl*"))
        yield Stage(folder, path, Path(temporary) / "tensorboard", done=False, record=record)


def part_of(run_dir: str | Path, name: str, kind: str = "") -> Path:
    """The folder in which a stage is at work, which is renamed when it is finished."""
    return Path(run_dir) / f"{registry.folder(name, kind)}.part"


def find(run_dir: str | Path, name: str, kind: str = "") -> Found:
    """Finds a finished stage.

    Args:
      run_dir: folder of the run.
      name: of the stage in `registry.STAGES`.
      kind: of generator, for the stages that have a folder for each.

    Raises:
      InputError: it is not there, was made from other inputs than the run's folder holds now, or by version 0.1.
    """
    folder = Path(run_dir) / registry.folder(name, kind)
    command = f"python -m {registry.STAGES[name].module} --run_dir={run_dir}"
    _refuse_run_of_before(Path(run_dir))
    if not (folder / RECORD).is_file():
        raise InputError(f"--run_dir={run_dir}: there is no finished {folder.name}/ in it; run it first with {command}")
    record = _read_record(folder / RECORD)
    _refuse_before(folder, record)
    for before, digest in record.get("inputs", {}).items():
        path = Path(run_dir) / before / RECORD  # of a stage; other things that are read may have any name
        if paths.is_file(path) and file_digest(path) != digest:
            raise InputError(
                f"--run_dir={run_dir}: {folder.name}/ was made from another {before}/ than is there now; make it again "
                f"with {command}"
            )
    return Found(folder, record, file_digest(folder / RECORD))


def find_inputs(run_dir: str | Path, name: str, kind: str = "", optional: Sequence[str] = ()) -> dict[str, Found]:
    """Finds the finished stages that a stage reads, as `registry` declares them.

    Args:
      run_dir: folder of the run.
      name: of the stage that reads them.
      kind: of generator; "" leaves out the stages that have a folder for each.
      optional: names of those that may be missing.

    Returns:
      Name of each stage to what was found.

    Raises:
      InputError: as by `find`.
    """
    names = [one for one in registry.STAGES[name].inputs if kind or not registry.STAGES[one].has_kinds]
    names = [one for one in names if one not in optional or is_done(run_dir, one, kind)]
    return {one: find(run_dir, one, kind) for one in names}


def is_done(run_dir: str | Path, name: str, kind: str = "") -> bool:
    """Whether the folder of a finished stage is there."""
    return (Path(run_dir) / registry.folder(name, kind) / RECORD).is_file()


def is_done_by(config, name: str, kind: str = "") -> bool:
    """Whether the folder of a finished stage is there that was made with these settings, of whatever inputs.

    Args:
      config, name, kind: as for `open_stage`.
    """
    if not is_done(config.run_dir, name, kind):
        return False
    record = _read_record(Path(config.run_dir) / registry.folder(name, kind) / RECORD)
    return not made_by.changed(record, _settings(config), free=cli.path_flags(config))


def _refuse_run_of_before(run_dir: Path) -> None:
    for name in registry.FOLDERS_OF_BEFORE:
        record = run_dir / name / RECORD
        if record.is_file():
            _refuse_before(record.parent, _read_record(record, whole=False))


def _read_record(path: Path, *, whole: bool = True) -> dict:
    """What stage.json or settings.json holds; InputError where that is no record of a stage.

    Args:
      path: of the file.
      whole: whether it needs what this version writes.
    """
    record = read_json(path)
    known = record if isinstance(record, dict) else {"config": None}
    needed = ("config", "inputs") if whole else ()
    wrong = [name for name in _PARTS if not isinstance(known.get(name, None if name in needed else {}), dict)]
    if not wrong and not all(isinstance(digest, str) for digest in (known.get("inputs") or {}).values()):
        wrong = ["inputs"]
    if wrong:
        raise InputError(
            f"{path} is damaged: no {wrong[0]} as a stage writes it; delete the folder {path.parent} to redo it, or "
            "choose another --run_dir"
        )
    return record


def _refuse_before(folder: Path, record: Mapping) -> None:
    if provenance.is_of_before(record):
        raise InputError(
            f"{folder} was made by version 0.1 of this program, whose folders and flags had other names; choose "
            f"another --run_dir, or delete {folder.parent}"
        )


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal text."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _raise(refused: OSError | None) -> None:
    """What the system said of a folder into which something is now to be written."""
    if refused is not None:
        raise refused


def _old(final: Path) -> Path:
    """Where a finished stage is while one that extends it takes its place."""
    return final.with_name(f".{final.name}.old")


def _discard(folder: Path) -> None:
    """Deletes a folder, of which a kill leaves nothing half deleted where somebody would look for it."""
    aside = _aside(folder)
    remove_folder(aside)
    if folder.is_symlink() or folder.exists():
        folder_renaming.rename(folder, aside)
        remove_folder(aside)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name.lstrip('.')}.discarded")


def _end_what_was_killed(final: Path, work: Path) -> None:
    """Ends what a kill left in the middle: a stage that takes the place of another, and folders to be deleted."""
    old = _old(final)
    for folder in (final, work, old):
        folder_renaming.end_copies(folder)
    if old.exists() and not final.exists():
        folder_renaming.rename(old, final)
    for folder in (final, work, old):
        remove_folder(_aside(folder))
    _discard(old)


def _drop_scaffolding(folder: Path) -> None:
    """Deletes what only a stage at work needs; after the renaming, for a kill in between must not leave half of it."""
    for checkpoints in [*folder.rglob("checkpoints")]:
        shutil.rmtree(checkpoints)
    if (folder / SETTINGS).exists():  # a read-only disk refuses to delete what is not there, too
        (folder / SETTINGS).unlink()


def _settings(config) -> dict:
    return plain({k: v for k, v in cli.settings(config).items() if k != "run_dir"})
