"""How much memory a file may ask for: what it says it holds is checked before memory is taken, unpacking is capped."""

from __future__ import annotations

import zlib

# What a packed file may become, whatever its own size; beyond that it may grow by RATIO alone. Masks, which are empty
# but for a few voxels, grow a thousandfold: one of 512 x 512 x 1000 voxels of float64 has 2 GiB. Tables do not.
IMAGE_BYTES, TABLE_BYTES = 2**31, 2**28
RATIO = 100
DEFLATE = 1100  # deflate, of gzip, zip and zlib, makes nothing smaller than by some 1032
TRAILING = 2**20  # bytes behind what a header says that are let pass
_PIECE = 2**16
_MEMBERS = 100_000  # of a gzip file; bgzip starts one every 64 KB


def check_unpacked(needed: int, held: int, most: int) -> None:
    """ValueError where a packed file would take too much memory.

    Args:
      needed: bytes that it says it unpacks to.
      held: bytes of the file itself.
      most: `IMAGE_BYTES` or `TABLE_BYTES`.
    """
    if needed > max(most, RATIO * held):
        raise ValueError(f"it would unpack from {held} to {needed} bytes, which no such file does")


def check_claim(claimed: int, there: int) -> None:
    """ValueError where a file has fewer bytes than its header says."""
    if claimed > there:
        raise ValueError(f"its header says {claimed} bytes, and there are {there}")


def gunzip(data: bytes, most: int) -> bytes:
    """What a gzip file of one member or more holds.

    Args:
      data: the file's bytes.
      most: bytes that come of it.

    Raises:
      ValueError: it is damaged, or more would come of it.
    """
    pieces: list[bytes] = []
    left, at, members = most + 1, 0, 0
    member, fed = zlib.decompressobj(31), data[:_PIECE]
    try:
        while True:
            at += len(fed)
            pieces.append(member.decompress(fed, left))
            left -= len(pieces[-1])
            if left <= 0:
                raise ValueError(f"it unpacks to more than {most} bytes")
            rest = member.unused_data if member.eof else b""
            at -= len(rest)
            if member.eof:
                while data[at : at + 1] == b"\0":  # padding
                    at += 1
                members += 1
                if at >= len(data):
                    return b"".join(pieces)
                if members > _MEMBERS:
                    raise ValueError(f"it has more than {_MEMBERS} parts")
                member = zlib.decompressobj(31)
            fed = data[at : at + _PIECE]
            if not fed:
                raise ValueError("it ends in the middle")
    except zlib.error as error:
        reason = "its CRC differs" if "incorrect data check" in str(error) else str(error)
        raise ValueError(reason) from error


def head_of_gzip(data: bytes, size: int) -> bytes:
    """The first bytes of what a gzip file holds; fewer, or none, where it is damaged."""
    try:
        return zlib.decompressobj(31).decompress(data[:_PIECE], size)
    except zlib.error:
        return b""
