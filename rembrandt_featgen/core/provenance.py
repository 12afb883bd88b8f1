"""What a result was made with: this package, its git commit, and the packages that figures depend on."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import subprocess
from collections.abc import Mapping
from pathlib import Path

import rembrandt_featgen

THIS = "rembrandt_featgen"
_PACKAGES = (
    "tensorflow",
    "keras",
    "tensorlayer",
    "tensorflow-addons",
    "nibabel",
    "numpy",
    "scipy",
    "scikit-learn",
    "imbalanced-learn",
    "numcodecs",
    "pandas",
    "pyarrow",
    "SimpleITK",
    "tf-keras-vis",
)


_device = ""


def set_device(said: str) -> None:
    """Keeps what is said of the device that this process runs on."""
    global _device
    _device = said


def device() -> str:
    """What was said of the device; "" where nothing was."""
    return _device


def versions() -> dict[str, str]:
    """Version of this package and of those that figures depend on, by name."""
    return {THIS: rembrandt_featgen.__version__} | {name: importlib.metadata.version(name) for name in _PACKAGES}


@functools.lru_cache(maxsize=1)
def code() -> str:
    """Digest of the modules of this package as they are when it is first asked for, whatever their version says."""
    root, digest = Path(rembrandt_featgen.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


@functools.lru_cache(maxsize=1)
def commit() -> str | None:
    """Git commit of this package, with "-dirty" where files differ from it; None where it is no checkout."""
    root = Path(rembrandt_featgen.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def is_of_before(record: Mapping) -> bool:
    """Whether a finished stage's stage.json was written by version 0.1, which did not say its version."""
    return "versions" in record and THIS not in record["versions"]
