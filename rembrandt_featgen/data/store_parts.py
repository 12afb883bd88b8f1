"""A split that several workers write, each a part, and that one joins: the store that one alone would write.

Parts are of whole shards, one run of them each. A worker writes its part into a folder of its own, as a store by itself
whose shards count from 0; joined, the shards have the numbers that they would have had, and the index is made of their
lines.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from rembrandt_featgen.core import json_files
from rembrandt_featgen.data.store_format import index_path

_WRITTEN = "checkpoints/parts.json"  # where a stage keeps what goes once it is done


def records_of_part(count: int, per_shard: int, *, part: int, parts: int) -> tuple[int, int]:
    """First, and one past the last, of the records that are a part's.

    Args:
      count: records of the split.
      per_shard: records of a shard, of which each part has whole ones.
      part: its number, from 0.
      parts: how many there are.
    """
    shards = -(-count // per_shard)
    first, end = part * shards // parts, (part + 1) * shards // parts
    return min(first * per_shard, count), min(end * per_shard, count)


def folder_of(folder: Path, part: int, parts: int) -> Path:
    """Where a part is written, in the folder of the store."""
    return folder / f"worker{part}of{parts}"


def written(folder: Path) -> int:
    """How many parts there are, if all of them were written, so that what is left is to join them; else 0."""
    path = folder / _WRITTEN
    return json_files.read_json(path)["parts"] if path.exists() else 0


def say_written(folder: Path, parts: int) -> None:
    """Notes that all parts are written, of all splits, which is to be said before they are joined."""
    (folder / _WRITTEN).parent.mkdir(exist_ok=True)
    json_files.write_json(folder / _WRITTEN, {"parts": parts})


def drop_stale(folder: Path, splits: Sequence[str], parts: int) -> None:
    """Deletes what workers of another number left, of whose parts nothing serves; one worker's, where there are more.

    Args:
      folder, splits: as for `join`; not all parts are `written`.
      parts: how many there are now.
    """
    for stale in folder.glob("worker*of*"):
        if parts == 1 or not stale.name.endswith(f"of{parts}"):
            shutil.rmtree(stale)
    if parts > 1:
        for split in splits:
            index = index_path(folder, split)
            for stale in (index, index.with_suffix(".jsonl.part"), *folder.glob(f"{split}-*.tfrecord*")):
                stale.unlink(missing_ok=True)


def join(folder: Path, splits: Sequence[str], parts: int) -> None:
    """Makes one store of the parts of each split, and deletes their folders; once killed, it can be called again.

    Args:
      folder: of the store, in which the folders of the parts are; of another store there is nothing.
      splits: names of the splits.
      parts: how many there are.
    """
    folders = [folder_of(folder, part, parts) for part in range(parts)]
    for split in splits:
        if not index_path(folder, split).exists():  # else a join that was killed has made it
            _join_split(folder, split, folders)
    for part in folders:
        if part.exists():
            shutil.rmtree(part)


def _join_split(folder: Path, split: str, parts: Sequence[Path]) -> None:
    header, records = "", 0
    lines: list[str] = []
    for part in parts:
        header, *shards, end = index_path(part, split).read_text().splitlines()
        for line in shards:
            shard = json.loads(line)
            name = f"{split}-{len(lines):05d}.tfrecord"
            if (part / shard["file"]).exists():  # else a join that was killed has moved it
                (part / shard["file"]).replace(folder / name)
            lines.append(json.dumps({**shard, "file": name}))
        records += json.loads(end)["records"]
    temporary = folder / f"{split}.jsonl.joined"
    text = [header, *lines, json.dumps({"records": records})]
    temporary.write_text("".join(f"{line}\n" for line in text))
    temporary.replace(index_path(folder, split))
