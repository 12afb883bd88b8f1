"""Flags of pseudonyms, of every stage that reads a cohort or a table, and what they make of them."""

from __future__ import annotations

from rembrandt_featgen.cohort import pseudonyms
from rembrandt_featgen.cohort.pseudonyms import Pseudonyms
from rembrandt_featgen.core import cli, withheld


def pseudonymise():
    """--pseudonymise."""
    return cli.flag(
        False,
        "Whether ids of patients, their groups, and sites that hold an id, become keyed pseudonyms as the cohort or "
        "table is read, so that nothing that a run writes or logs has them.",
    )


def pseudonym_key():
    """--pseudonym_key."""
    return cli.flag(
        "~/.rembrandt_featgen/pseudonym.key",
        "With --pseudonymise, the file of the key, which is made for you alone to read where it is missing, and must "
        "not be in the run's folder. The same key gives the same pseudonyms, and tells whose they are.",
        path=True,
    )


def pseudonyms_by(asked: bool, *, key: str, run_dir: str) -> Pseudonyms | None:
    """Those of --pseudonymise and --pseudonym_key, None where they are not asked for.

    What was withheld before is forgotten.
    """
    withheld.forget()
    return pseudonyms.read(key, run_dir) if asked else None
