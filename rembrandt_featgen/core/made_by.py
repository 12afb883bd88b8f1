"""Whether what is found was made by the settings of now, or by others for which it serves as well."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rembrandt_featgen.core.errors import SettingsError


class Kept(NamedTuple):
    """What of a finished stage serves one with other settings.

    Attributes:
      files: patterns of the names of its files, with which the new one starts.
      serves: from a flag, its value before and its value now to whether these files are as right as they were.
    """

    files: tuple[str, ...]
    serves: Callable[[str, Any, Any], bool]


def changed(found: Mapping, settings: Mapping, *, free: Collection[str] = ()) -> list[str]:
    """Flags whose values are not those by which something was made.

    Args:
      found: its record.
      settings: flag to value, now.
      free: flags that may have any value.
    """
    before = found["config"]
    return sorted(name for name in {*before, *settings} - {*free} if before.get(name) != settings.get(name))


def serves(kept: Kept | None, found: Mapping, settings: Mapping, *, names: Collection[str]) -> bool:
    """Whether some flags changed, all of them such that what is kept serves.

    Args:
      kept: None of a stage that keeps nothing for other settings.
      found, settings: as for `changed`.
      names: of what changed.
    """
    before = found["config"]
    if kept is None or not names or any(name not in before or name not in settings for name in names):
        return False
    return all(kept.serves(name, before[name], settings[name]) for name in names)


def extends(found: Mapping, names: Collection[str]) -> list[dict]:
    """What a record says of those that it extends, the oldest first: when and by which commit, and its other values.

    Args:
      found: the record of the last of them.
      names: of flags that have other values now.
    """
    before = {name: found.get(name) for name in ("finished", "commit")}
    return [*found.get("extends", ()), {**before, "config": {name: found["config"].get(name) for name in names}}]


def check(folder: Path, found: Mapping, settings: Mapping, *, names: Collection[str]) -> None:
    """SettingsError where any flag changed.

    Args:
      folder: of what is found.
      found, settings: as for `changed`.
      names: of what changed.
    """
    if names:
        changes = ", ".join(change(name, found["config"], settings) for name in names)
        raise SettingsError(
            f"{folder} was made by other settings: {changes}; "
            f"give those again, delete {folder} to redo it and what follows, or choose another --run_dir"
        )


def change(name: str, before: Mapping, now: Mapping) -> str:
    """A flag with its value before and now, in words."""
    if name not in before:
        return f"by a version without --{name} (now {_shown(now[name])})"
    if name not in now:
        return f"by a version with --{name}={_shown(before[name])}"
    return f"--{name}={_shown(before[name])} (now {_shown(now[name])})"


def _shown(value) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
