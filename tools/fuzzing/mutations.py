"""How a valid file is damaged: fields of its header, parts moved, cut or doubled; of packed ones what is within."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

LONGEST = 1 << 16  # bytes of an input
_WHOLE = (0, 1, 2, 3, 7, 16, 127, 128, 255, 256, 348, 540, 1000, 32767, 65535, 65536, 2**24, 2**31 - 1, 2**31)
_NUMBERS = (*_WHOLE, 2**32 - 1, 2**40, 2**62, 2**63 - 1, *(-one for one in _WHOLE))
_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e30, 3e38, 1e300, float("nan"), float("inf"), float("-inf"), 352.0, 348.5)
_FORMATS = ("B", "<h", ">h", "<i", ">i", "<q", ">q", "<f", ">f", "<d", ">d")
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_WORDS = r"0 -1 1e999 nan inf - None null true ~ ~nobody/x ../.. / /dev/null \" ' , ; #0 %d [x] * LGG hgg 1.0 +1 0x10"
_WORDS += " 1_000 =1+1 2026-01-01 --x"
_ODD = (
    "",
    " ",
    "a" * 300,
    "x" * 40000,
    "9" * 5000,
    "a\nb",
    "a\tb",
    "\0",
    "é",
    "ß",
    "ﬁ",
    "A\u0301",
    "\u202e",
    "\ufeff",
    "\ud7ff",
)
_TEXTS = (*_WORDS.split(), *_ODD)
_JSON_VALUES: tuple = (
    None,
    True,
    0,
    -1,
    2**63,
    1e308,
    "",
    "x",
    [],
    {},
    [[]],
    [None],
    {"": None},
    "9" * 400,
    [0] * 50,
    -0.5,
)


class Kind(NamedTuple):
    """What is known of files of a kind.

    Attributes:
      others: valid ones, of which pieces are taken.
      fields: (offset, format of struct) of numbers in a binary header.
      tokens: bytes that mean something in them.
    """

    others: Sequence[bytes] = ()
    fields: Sequence[tuple[int, str]] = ()
    tokens: Sequence[bytes] = ()


def damaged(data: bytes, shape: str, draw: random.Random, *, kind: Kind) -> bytes:
    """A file with some damage.

    Args:
      data: the file.
      shape: a key of `SHAPES`.
      draw: where the damage comes from.
      kind: what is known of such files.
    """
    change = SHAPES[shape] if draw.random() < 0.85 else _binary
    for _ in range(draw.choice((1, 1, 1, 2, 3, 5))):
        data = change(data, draw, kind)
    return data[:LONGEST]


def _binary(data: bytes, draw: random.Random, kind: Kind) -> bytes:
    way = draw.randrange(10)
    at = draw.randrange(len(data) + 1)
    if way <= 2 and kind.fields:
        where, how = draw.choice(kind.fields)
        return _with_number(data, where, how, draw=draw)
    if way == 3 and kind.tokens:
        token = draw.choice(kind.tokens)
        return data[:at] + token + data[at + len(token) * draw.randrange(2) :]
    if way == 4:
        return data[:at]
    if way == 5:
        end = at + draw.choice((1, 2, 4, 16, 300))
        return data[:at] + data[end:]
    if way == 6:
        piece = data[at : at + draw.choice((1, 4, 64, 1000))]
        return data[:at] + piece * draw.choice((2, 3, 20)) + data[at:]
    if way == 7 and kind.others:
        other = draw.choice(kind.others)
        there = min(at, len(other)) if draw.random() < 0.5 else draw.randrange(len(other) + 1)
        return data[:at] + other[there:]
    if way == 8:
        return _with_number(data, at, draw.choice(_FORMATS), draw=draw)
    if not data:
        return bytes(draw.randrange(256) for _ in range(draw.randrange(1, 8)))
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _with_number(data: bytes, where: int, how: str, *, draw: random.Random) -> bytes:
    size = struct.calcsize(how)
    if how[-1] in "fd":
        value: float = draw.choice(_FLOATS) if draw.random() < 0.7 else draw.uniform(-1e4, 1e4)
        packed = (
            struct.pack(how[:-1] + "d", value) if how[-1] == "d" else struct.pack(how, max(min(value, 3e38), -3e38))
        )
    else:
        number = draw.choice(_NUMBERS) if draw.random() < 0.7 else draw.randrange(-20, 70000)
        packed = (number % (1 << 8 * size)).to_bytes(size, "big" if how[0] == ">" else "little")
    return data[:where] + packed + data[where + size :]


def _gzip(data: bytes, draw: random.Random, kind: Kind) -> bytes:
    """What is within is damaged and packed again; or several members, rubbish at the end, another level."""
    try:
        within = zlib.decompressobj(31).decompress(data, LONGEST)
    except zlib.error:
        return _binary(data, draw, kind._replace(fields=()))
    way = draw.randrange(12)
    if way == 0:
        return data + gzip.compress(bytes(draw.choice((0, 1, 10**5))), 9, mtime=0)
    if way == 1:
        return gzip.compress(within + bytes(draw.choice((1, 10**4, 10**6, 2 * 10**7))), 9, mtime=0)
    if way == 2:
        at = draw.randrange(len(within) + 1)
        return gzip.compress(within[:at], mtime=0) + gzip.compress(within[at:], mtime=0)
    if way == 3:
        return _binary(data, draw, kind._replace(fields=()))
    pieces = [zlib.decompressobj(31).decompress(other, LONGEST) for other in kind.others if other[:2] == b"\x1f\x8b"]
    return gzip.compress(_binary(within, draw, kind._replace(others=pieces)), draw.choice((0, 1, 9)), mtime=0)


def _zip(data: bytes, draw: random.Random, kind: Kind) -> bytes:
    """A member is damaged, doubled, renamed or made large, and all are packed again."""
    members = _members(data)
    if not members or draw.random() < 0.15:
        return _binary(data, draw, kind._replace(fields=()))
    way = draw.randrange(9)
    at = draw.randrange(len(members))
    name, content = members[at]
    if way == 0:
        members.append((name, content))
    elif way == 1:
        names = [one for other in kind.others for one, _ in _members(other)] + ["../x.npy", ""]
        members[at] = (draw.choice(names), content)
    elif way == 2:
        del members[at]
    elif way == 3:
        members[at] = (name, content + bytes(draw.choice((1, 1000, 10**6, 3 * 10**7))))
    elif way == 4:
        members[at] = (name, draw.choice([one for other in kind.others for _, one in _members(other)] or [b""]))
    else:
        members[at] = (name, _npy(content, draw, kind) if way > 5 else _binary(content, draw, kind._replace(others=())))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", draw.choice(_PACKED)) as file:
        for name, content in members:
            file.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def _members(data: bytes) -> list[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            return [(one.filename, file.read(one)) for one in file.infolist() if one.file_size <= 10 * LONGEST]
    except Exception:  # whatever a damaged archive raises; it is damaged as bytes then
        return []


def _npy(content: bytes, draw: random.Random, kind: Kind) -> bytes:
    """Shape or type in the header of an array become others."""
    types = ("<f4", ">f8", "|O", "<U9", "|S3", "<i8", "|b1", "<c8", "<M8[D]", "|V8", "<f2", "<U100000")
    shapes = (
        "()",
        "(0,)",
        "(1,)",
        "(2, 2)",
        "(-1,)",
        "(99999999999,)",
        "(3, 0, 5)",
        "(2, 1, 1, 1)",
        "(True,)",
        "(1e3,)",
    )
    head = f"{{'descr': '{draw.choice(types)}', 'fortran_order': {draw.choice((True, False))}, "
    head += f"'shape': {draw.choice(shapes)}, }}"
    if draw.random() < 0.5 or content[:6] != b"\x93NUMPY":
        at = content.find(b"'shape': ")
        end = content.find(b")", at)
        return (
            _binary(content, draw, kind._replace(others=(), fields=()))
            if at < 0
            else content[: at + 9] + draw.choice(shapes).encode() + content[end + 1 :]
        )
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head.encode() + content[128:]


def _text(data: bytes, draw: random.Random, kind: Kind) -> bytes:
    """Lines and cells are doubled, moved, emptied, or become odd ones."""
    lines = data.split(b"\n")
    at = draw.randrange(len(lines))
    way = draw.randrange(9)
    if way == 0:
        lines.insert(at, draw.choice(lines))
    elif way == 1:
        del lines[at]
    elif way == 2:
        other = draw.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif way == 3 and kind.others:
        lines.insert(at, draw.choice(draw.choice(kind.others).split(b"\n")))
    elif way <= 7:
        separator = max((b",", b";", b"\t", b"=", b":", b"/"), key=lines[at].count)
        cells = lines[at].split(separator)
        words = [*kind.tokens, *(text.encode("utf-8", "surrogatepass") for text in _TEXTS), *cells]
        place = draw.randrange(len(cells))
        cells[place : place + draw.randrange(2)] = [draw.choice(words)] * draw.choice((1, 1, 1, 1, 2, 200))
        lines[at] = separator.join(cells)
    else:
        return _binary(data, draw, kind._replace(fields=()))
    return b"\n".join(lines)


def _json(data: bytes, draw: random.Random, kind: Kind) -> bytes:
    """A value or key becomes another, or values nest deeply."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return _text(data, draw, kind)
    if draw.random() < 0.02:
        deep = draw.choice((500, 5000, 20000))
        return b"[" * deep + b"]" * deep if draw.random() < 0.5 else b'{"a":' * deep + b"1" + b"}" * deep
    return json.dumps(_value(value, draw, kind)).encode("utf-8", "surrogatepass")


def _value(value, draw: random.Random, kind: Kind):
    if isinstance(value, dict) and value and draw.random() < 0.85:
        key = draw.choice(sorted(value))
        way = draw.randrange(8)
        if way == 0:
            return {name: one for name, one in value.items() if name != key}
        if way == 1:
            names = [token.decode("utf-8", "replace") for token in kind.tokens] + list(_TEXTS)
            return {**value, draw.choice(names): draw.choice(list(value.values()))}
        return {**value, key: _value(value[key], draw, kind)}
    if isinstance(value, list) and value and draw.random() < 0.85:
        at = draw.randrange(len(value))
        way = draw.randrange(8)
        if way == 0:
            return value[:at] + value[at + 1 :]
        if way == 1:
            return value + value[at:]
        return [*value[:at], _value(value[at], draw, kind), *value[at + 1 :]]
    return draw.choice((*_JSON_VALUES, draw.choice(_TEXTS), draw.choice(_NUMBERS)))


def _json_lines(data: bytes, draw: random.Random, kind: Kind) -> bytes:
    lines = data.split(b"\n")
    if draw.random() < 0.3:
        return _text(data, draw, kind)
    at = draw.randrange(len(lines))
    lines[at] = _json(lines[at], draw, kind)
    return b"\n".join(lines)


SHAPES: dict[str, Callable[..., bytes]] = {
    "binary": _binary,
    "gzip": _gzip,
    "zip": _zip,
    "text": _text,
    "json": _json,
    "json lines": _json_lines,
}
