import dataclasses
import hmac
import re
import stat

import numpy as np
import pytest

from rembrandt_featgen.cohort import layouts, phantom, pseudonyms, visit_names
from rembrandt_featgen.cohort.classes import Classes
from rembrandt_featgen.cohort.patients import Cohort, Patient
from rembrandt_featgen.cohort.pseudonyms import Pseudonyms
from rembrandt_featgen.core import withheld
from rembrandt_featgen.core.errors import InputError

NAMES = Pseudonyms(b"0123456789abcdef")


@pytest.fixture(autouse=True)
def forgotten():
    yield
    withheld.forget()


def test_a_pseudonym_is_an_hmac_of_the_id_as_people_spell_it():
    digest = hmac.new(b"0123456789abcdef", b"ann_lee", "sha256").hexdigest()
    expected = "P" + "".join("bcdfghjkmnpqrstv"[int(digit, 16)] for digit in digest[:12])
    assert {NAMES.of(name) for name in ("Ann Lee", "ann-lee", " ANN_LEE")} == {expected}
    assert Pseudonyms(b"0123456789abcdeF").of("Ann Lee") != expected and NAMES.of("") == ""
    assert len({NAMES.of(str(number)) for number in range(20_000)}) == 20_000


def test_visits_are_known_by_their_names_before_and_after():
    first, second = (NAMES.of(f"BraTS-GLI-00005-00{number}") for number in range(2))
    assert re.fullmatch(r"P[a-z]{12}-[a-z]{6}", first) and first[:13] == second[:13] == NAMES.of("BraTS-GLI-00005")
    assert first != second
    assert all(visit_names.patient_of(name) == name for name in (first, second))  # nothing of the name is left
    groups = {first: NAMES.of("BraTS-GLI-00005"), second: NAMES.of("BraTS-GLI-00005")}
    assert visit_names.counted(groups) == "2 visits of 1 patient"


def test_a_cohort_keeps_groups_sites_and_files():
    made = [
        Patient("HF1", "LGG", images={}, mask=None, group="family 1", site="east"),
        Patient("HF2", "HGG", images={}, mask=None, group="family 1", site="HF1's ward"),
        Patient("HF3", "HGG", images={}, mask=None, site="HF3"),
    ]
    found = NAMES.of_cohort(Cohort(made, Classes.of(("LGG", "HGG")))).patients
    assert [one.id for one in found] == sorted(NAMES.of(one.id) for one in made)
    by_label = {(one.label, one.group): one for one in found}
    assert by_label["LGG", NAMES.of("family 1")].site == "east"
    assert by_label["HGG", NAMES.of("family 1")].id == NAMES.of("HF2")
    assert by_label["HGG", NAMES.of("HF3")].id == by_label["HGG", NAMES.of("HF3")].site == NAMES.of("HF3")
    assert str(InputError("/data/HF2/HF2_flair.nii: NaN")) == "/data/{0}/{0}_flair.nii: NaN".format(NAMES.of("HF2"))


def test_columns_of_a_table_keep_their_order():
    patients, groups, sites = NAMES.of_columns(
        np.array(["b", "a", "b"]), np.array(["g", "a", "g"]), np.array(["", "east", ""]), where="--features=x.csv"
    )
    assert patients.tolist() == [NAMES.of(name) for name in "bab"] and sites.tolist() == ["", "east", ""]
    assert groups.tolist() == [NAMES.of(name) for name in "gag"]


def test_ids_that_nobody_can_tell_apart_are_refused_by_name():
    with pytest.raises(InputError, match="--cohort: patients 'Ann Lee' and 'ann_lee' look alike"):
        NAMES.withhold(["Ann Lee", "ann_lee"], where="--cohort")


def test_messages_of_a_cohort_say_pseudonyms(tmp_path):
    cohort = phantom.write_phantom(tmp_path / "cohort", {"LGG": 2, "HGG": 2}, size=32, slices=3)
    mask = sorted(cohort.rglob("*_seg.nii.gz"))[0]
    mask.unlink()
    with pytest.raises(InputError, match=NAMES.of(mask.parent.name)) as caught:
        layouts.find_cohort(cohort, options=layouts.CohortOptions(pseudonyms=NAMES))
    assert mask.parent.name not in str(caught.value)


def test_a_key_is_made_for_its_user_alone_and_stays(tmp_path):
    path = tmp_path / "keys" / "mine.key"
    made = pseudonyms.read(str(path), str(tmp_path / "run"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and len(made.key) == 64
    assert pseudonyms.read(str(path), str(tmp_path / "other")) == made
    assert list(path.parent.iterdir()) == [path] and "key" not in repr(made)
    assert made.check == dataclasses.replace(made).check != NAMES.check


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("run/mine.key", "--pseudonym_key=.*run/mine.key is in --run_dir="),
        ("link/mine.key", "is in --run_dir="),
        ("short", "holds no key: it has 5 letters"),
        ("empty", "holds no key: it has 0 letters"),
        ("", "name a file"),
    ],
)
def test_keys_that_would_not_do(tmp_path, path, message):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    (tmp_path / "short").write_text("12345\n")
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match=message):
        pseudonyms.read(str(tmp_path / path) if path else "", str(tmp_path / "run"))
    assert not list((tmp_path / "run").iterdir())
