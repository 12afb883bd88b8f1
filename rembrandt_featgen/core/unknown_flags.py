"""What to say of a flag that a binary does not have: that it was renamed, whose it is, and which one may be meant."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rembrandt_featgen.core import registry


def explain(message: str, argv: Sequence[str], known: Collection[str], elsewhere: Collection[str]) -> str:
    """One line for the user.

    Args:
      message: of absl, which names the first flag of the command line that is not known, in quotes.
      argv: the command line.
      known: flags of the binary.
      elsewhere: flags that other binaries have.
    """
    renamed = [name for name in registry.RENAMED_FLAGS if f"'{name}'" in message or f"'no{name}'" in message]
    if "Unknown" in message and renamed:
        now = registry.RENAMED_FLAGS[renamed[0]]
        return f"--{renamed[0]} was a flag of version 0.1; it is now --{now}, see --help"
    given = [argument.lstrip("-").partition("=")[0] for argument in argv if argument.startswith("-")]
    others = [name for name in dict.fromkeys(given) if name in elsewhere and name not in known]
    if any(f"'{name}'" in message for name in others):
        listed = ", ".join(f"--{name}" for name in others)
        are, them = ("are flags", "them") if len(others) > 1 else ("is a flag", "it")
        instead = ", ".join(f"--{like} for --{name}" for name in others for like in _ending_alike(name, known))
        take = f"take {instead}; or " if instead else ""
        return (
            f"{listed} {are} of another binary, and would do nothing here; {take}leave {them} out, or put {them} into "
            "a --flagfile, which may hold flags of all binaries, and of which each takes its own"
        )
    unknown = [name for name in given if f"'{name}'" in message and "Unknown" in message]
    meant = [f"--{like}" for like in _ending_alike(unknown[0], known)] if unknown else []
    return "; ".join([message, *(f"perhaps {flag}" for flag in meant), "--help lists the flags"])


def _ending_alike(name: str, known: Collection[str]) -> list[str]:
    """Of the known flags those that have the same end: `few_shot_arms` of `arms`, and `arms` of `few_shot_arms`."""
    return sorted(flag for flag in known if flag.endswith(f"_{name}") or name.endswith(f"_{flag}"))
