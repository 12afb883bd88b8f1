"""How much a file may ask for."""

import contextlib
import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rembrandt_featgen.core import file_sizes

SMALL = settings(max_examples=40, deadline=None)


@SMALL
@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4), st.integers(0, 5))
def test_gunzip_takes_members_and_padding_as_gzip_does(parts, padding):
    packed = b"".join(gzip.compress(part, mtime=0) for part in parts) + bytes(padding)
    assert file_sizes.gunzip(packed, 2**20) == gzip.decompress(packed) == b"".join(parts)


@SMALL
@given(st.binary(min_size=1, max_size=3000), st.integers(0, 200), st.integers(0, 7))
def test_gunzip_gives_the_whole_or_says_that_it_is_damaged(content, at, bit):
    packed = bytearray(gzip.compress(content, mtime=0))
    packed[at % len(packed)] ^= 1 << bit
    with contextlib.suppress(ValueError):  # or it was a bit of the header that says nothing of the content
        assert file_sizes.gunzip(bytes(packed), 2**20) == content
    with pytest.raises(ValueError, match="ends in the middle"):
        file_sizes.gunzip(gzip.compress(content, mtime=0)[:-3], 2**20)


def test_gunzip_stops_where_more_comes_than_may():
    bomb = gzip.compress(bytes(10**7))
    assert len(file_sizes.gunzip(bomb, 10**7)) == 10**7
    with pytest.raises(ValueError, match="more than 9999999 bytes"):
        file_sizes.gunzip(bomb, 10**7 - 1)
    with pytest.raises(ValueError, match="more than 15000000"):
        file_sizes.gunzip(bomb + bomb, 15 * 10**6)  # the cap is of all members together


def test_gunzip_refuses_more_members_than_any_program_writes(monkeypatch):
    monkeypatch.setattr(file_sizes, "_MEMBERS", 3)
    one = gzip.compress(b"x")
    assert file_sizes.gunzip(one * 4, 100) == b"xxxx"
    with pytest.raises(ValueError, match="more than 3 parts"):
        file_sizes.gunzip(one * 5, 100)


def test_masks_may_unpack_a_thousandfold_and_nothing_to_gigabytes():
    file_sizes.check_unpacked(2**31, 2**21, file_sizes.IMAGE_BYTES)
    file_sizes.check_unpacked(10 * 2**31, 2**31 // 5, file_sizes.IMAGE_BYTES)
    with pytest.raises(ValueError, match="it would unpack"):
        file_sizes.check_unpacked(6_400_000_000, 3_000_000, file_sizes.IMAGE_BYTES)
