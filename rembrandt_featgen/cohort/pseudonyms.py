"""Keyed pseudonyms of patients: --pseudonymise. The same key gives the same ones in every run, of any cohort or table.

They are applied once, as a cohort or a table is read, so that all that follows knows nothing else. Whoever has no key
cannot tell whose they are, nor by trying ids; whoever has it can, so it is kept apart from what is given away.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from absl import logging

from rembrandt_featgen.cohort.patients import Cohort
from rembrandt_featgen.cohort.visit_names import check_alike, patient_of, spelling
from rembrandt_featgen.core import folders, paths, withheld
from rembrandt_featgen.core.errors import InputError

FLAG = "--pseudonym_key"
# For hexadecimal digits, so that no pseudonym has a word, a number or a date in it, which a visit's name may end in.
_LETTERS = str.maketrans("0123456789abcdef", "bcdfghjkmnpqrstv")
_BYTES = 32  # of a key that is made
_FEWEST = 16  # letters of a key


@dataclasses.dataclass(frozen=True)
class Pseudonyms:
    """Names to pseudonyms.

    Attributes:
      key: secret.
    """

    key: bytes = dataclasses.field(repr=False)

    def of(self, name: str) -> str:
        """P and twelve letters, of a patient, a group or a site; "" of "".

        Of a visit by its name (`visit_names`) it is that of its patient, and six letters more. Spellings that nobody
        can tell apart have one pseudonym.
        """
        if not name:
            return ""
        patient = patient_of(name)
        visit = "" if patient == name else f"-{self._letters(name)[:6]}"
        return f"P{self._letters(patient)[:12]}{visit}"

    @property
    def check(self) -> str:
        """Says whether two keys are one, and nothing of the key."""
        return self._letters("\0check")[:12]

    def withhold(self, ids: Iterable[str], more: Iterable[str] = (), *, where: str) -> None:
        """Log lines and errors say pseudonyms of ids, and of more names, from now on.

        Raises:
          InputError: two ids would have one pseudonym; `where` is flag and file, for the message.
        """
        names = dict.fromkeys(ids)
        check_alike(names, where)
        others = {name: self.of(name) for name in names}
        if len(set(others.values())) < len(others):
            raise InputError(f"{FLAG}: two patients have the same pseudonym by this key; take another one")
        withheld.withhold({**{name: self.of(name) for name in more}, **others})

    def of_site(self, site: str, ids: Iterable[str]) -> str:
        """A site as it is, or its pseudonym where it holds one of the ids."""
        return self.of(site) if any(one == site or len(one) > 3 and one in site for one in ids) else site

    def of_cohort(self, cohort: Cohort) -> Cohort:
        """The cohort with pseudonyms for ids and groups, sorted by them, and for sites that hold one of these."""
        names = {name for patient in cohort.patients for name in (patient.id, patient.group)}
        self.withhold((patient.id for patient in cohort.patients), names, where="--cohort")
        sites = {site: self.of_site(site, names) for site in {patient.site for patient in cohort.patients}}
        patients = [
            dataclasses.replace(one, id=self.of(one.id), group=self.of(one.group), site=sites[one.site])
            for one in cohort.patients
        ]
        return cohort._replace(patients=sorted(patients, key=lambda patient: patient.id))

    def of_columns(
        self, patients: np.ndarray, groups: np.ndarray, sites: np.ndarray | None, *, where: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The same of the columns [n] of a table, in their order."""
        ids = np.unique(patients).tolist()
        names = {*ids, *np.unique(groups).tolist()}
        self.withhold(ids, names, where=where)
        others = {name: self.of(name) for name in names}
        patients, groups = (np.array([others[name] for name in column.tolist()], str) for column in (patients, groups))
        if sites is not None:
            known = {site: self.of_site(site, names) for site in np.unique(sites).tolist()}
            sites = np.array([known[site] for site in sites.tolist()], str)
        return patients, groups, sites

    def _letters(self, name: str) -> str:
        return hmac.new(self.key, spelling(name).encode(), hashlib.sha256).hexdigest().translate(_LETTERS)


def read(path: str, run_dir: str) -> Pseudonyms:
    """Pseudonyms by the key in a file, which is made, for its user alone to read, where it is missing.

    Args:
      path: of --pseudonym_key.
      run_dir: where the file must not be.

    Raises:
      InputError: the file would be in the run's folder, cannot be read or made, or holds no key.
    """
    place = Path(paths.expanded(path))
    where = f"{FLAG}={path}"
    if not path or place.is_dir():
        raise InputError(f"{where}: name a file, which is made if it is missing")
    if place.resolve().is_relative_to(Path(run_dir).resolve()):
        raise InputError(
            f"{where} is in --run_dir={run_dir}, whose pseudonyms it would give away; name a file outside, and keep it "
            "apart from what you share"
        )
    if not place.exists():
        folders.make_folder(place.parent, FLAG)
        _make(place, where)
    try:
        key = place.read_text(encoding="utf-8").strip()
        others_read = place.stat().st_mode & 0o077
    except (OSError, ValueError) as error:
        raise InputError(f"{where} cannot be read ({' '.join(str(error).split())}); name another file") from error
    if len(key) < _FEWEST:
        raise InputError(
            f"{where} holds no key: it has {len(key)} letters, and at least {_FEWEST} are needed; put back the key of "
            "your other runs, or name a file that is not there, which is made then"
        )
    if others_read:
        logging.warning("%s can be read by others, who can then tell whose pseudonyms are whose: chmod 600 it", where)
    return Pseudonyms(key.encode())


def _make(place: Path, where: str) -> None:
    """Writes a new key whole or not at all; one that another process made meanwhile is left."""
    part = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{secrets.token_hex(_BYTES)}\n")
        try:
            os.link(part, place)
        except FileExistsError:
            return
        except OSError:  # a file system without links
            part.rename(place)
    except OSError as error:
        raise InputError(f"{where} cannot be made ({error.strerror}); name a file elsewhere") from error
    finally:
        part.unlink(missing_ok=True)
    logging.info("%s: a new key was made: keep it, and apart from what you share", where)
