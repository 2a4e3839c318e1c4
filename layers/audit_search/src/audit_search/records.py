"""An inflated CloudTrail object becomes the original texts of its records, a window at a time.

The shape is `{"Records":[{…},{…}]}`. The fast way guesses a place between two records (`,` and the first key of the first
record), and a JSON parser accepts or refuses the guess: a quotation mark inside a string is always escaped, so an accepted
cut is right. Whatever the parser refuses (another key order, pretty-printing, NaN, a lone surrogate, broken JSON) goes the
exact way: a scanner that follows strings and brackets, needs no window to be valid, and hands out even what is not JSON as
one element, so that its neighbours stay whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from audit_search.errors import ObjectError

MAX_ELEMENT = 64 << 20
"""Bytes of one array element (CloudTrail's own limit is 256 KiB); it bounds memory against endless strings."""

_HEAD = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"Records"[ \t\r\n]*:[ \t\r\n]*\[')
_FIRST_KEY = re.compile(rb'[ \t\r\n]*(\{[ \t\r\n]*"[^"\\]*")')
_GAP = re.compile(rb"[ \t\r\n,]*")
_SPACE = re.compile(rb"[ \t\r\n]*")
# A lone quotation mark is a string that has not arrived whole.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}"]', re.DOTALL)
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb'[^\s,\[\]{}"]+')
_OPEN = frozenset(b"{[")

_raws = msgspec.json.Decoder(list[msgspec.Raw])


class DigestObjectError(ObjectError):
    """Not a log file but one of the objects that lie beside them; `code` says which."""


@dataclass(slots=True)
class Window:
    """Consecutive records: their texts, and the JSON array of all of them where a parser has accepted it."""

    texts: list[msgspec.Raw] | list[bytes]
    array: bytes | None


def windows(chunks: Iterator[bytes]) -> Iterator[Window]:
    """Windows of records in the order of the object.

    Raises ObjectError: not-json, truncated (the JSON ends early), no-records, too-big (one element beyond MAX_ELEMENT);
    DigestObjectError for a digest or an AWS Config object. What came before the error has been handed out.
    """
    return _Scanner(chunks).windows()


class _Scanner:
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""
        self._ended = False
        self._keys: list[str] = []
        self._seen_records = False

    def windows(self) -> Iterator[Window]:
        """One top-level object, or several behind each other, as gzip members may hold them."""
        while self._peek():
            yield from self._object()
        if not self._seen_records:
            if not self._keys:
                raise ObjectError("no-records", "the object holds no JSON")
            names = set(self._keys)
            if "digestS3Object" in names or "digestStartTime" in names:
                raise DigestObjectError("CloudTrail digest", "a digest file, recognised by its content")
            if "configurationItems" in names or "configurationItem" in names:
                raise DigestObjectError("AWS Config object", "a configuration history or snapshot, recognised by its content")
            raise ObjectError("no-records", "no Records in it; its top-level keys are " + ", ".join(self._keys[:20]))

    def _object(self) -> Iterator[Window]:
        while not self._ended and len(self._buffer) < 64:
            self._fill()
        head = _HEAD.match(self._buffer)
        if head:
            self._seen_records = True
            self._buffer = self._buffer[head.end() :]
            yield from self._array()
        elif self._peek() == b"{":
            self._drop(1)
        else:
            raise ObjectError("not-json", f"the object begins with {self._buffer[:16]!r}, not with a JSON object")
        yield from self._members()

    def _members(self) -> Iterator[Window]:
        """The rest of a top-level object: other keys, before or after Records, in any order."""
        while True:
            mark = self._peek()
            if mark == b"}":
                self._drop(1)
                return
            if mark == b",":
                self._drop(1)
                continue
            if mark != b'"':
                raise self._broken("a key or the end of the object")
            key = self._take()
            if self._peek() != b":":
                raise self._broken("a colon")
            self._drop(1)
            mark = self._peek()
            name = key[1:-1].decode("utf-8", "replace")
            self._keys.append(name[:64])
            if name == "Records" and mark == b"[":
                self._seen_records = True
                self._drop(1)
                yield from self._array()
            elif name == "Records":
                raise ObjectError("no-records", "Records is not a list")
            elif mark == b"":
                raise self._broken("a value")
            else:
                self._take()

    def _array(self) -> Iterator[Window]:
        """The elements up to the closing bracket, which is taken as well."""
        while True:
            while not self._ended and len(self._buffer) < 1 << 19:
                self._fill()
            window = self._guess()
            if window is None:
                texts, closed = self._scan()
                if texts:
                    yield Window(texts, None)
                if closed:
                    return
            else:
                if window.texts:
                    yield window
                if self._ended and not self._buffer:
                    self._buffer = b"}"  # the guess took the closing bracket; see _guess
                    return

    def _guess(self) -> Window | None:
        """All records up to the last place that looks like a border, or None where a parser refuses it."""
        buffer = self._buffer
        if self._ended:
            # At the end the border is the array's and the object's own.
            rest = buffer.rstrip()
            if not rest.endswith(b"}"):
                return None
            rest = rest[:-1].rstrip()
            if not rest.endswith(b"]"):
                return None
            array, left = b"[" + rest, b""
        else:
            first = _FIRST_KEY.match(buffer)
            if not first:
                return None
            cut = buffer.rfind(b"," + first[1])
            if cut <= 0:
                return None
            array, left = b"[" + buffer[:cut] + b"]", buffer[cut + 1 :]
        try:
            texts = _raws.decode(array)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        self._buffer = left
        return Window(texts, array)

    def _scan(self) -> tuple[list[bytes], bool]:
        """The elements that are whole in the buffer, at least one unless the array closes; whether it closed."""
        texts: list[bytes] = []
        while True:
            buffer = self._buffer
            end = len(buffer)
            position = 0
            while True:
                gap = _GAP.match(buffer, position)
                position = gap.end() if gap else position
                if position < end and buffer[position] == 0x5D:  # ]
                    self._buffer = buffer[position + 1 :]
                    return texts, True
                stop = _element_end(buffer, position, self._ended) if position < end else -1
                if stop < 0:
                    break
                texts.append(buffer[position:stop])
                position = stop
            self._buffer = buffer[position:]
            if texts:
                return texts, False
            if self._ended:
                return [self._resynchronise()], False
            self._double()

    def _resynchronise(self) -> bytes:
        """An element without an end (a quotation mark is missing), up to the next place that looks like a border."""
        first = _FIRST_KEY.match(self._buffer)
        border = self._buffer.find(b"," + first[1], 1) if first else -1
        if border < 0:
            raise self._broken("a record or the end of Records")
        text = self._buffer[:border]
        self._buffer = self._buffer[border:]
        return text

    def _take(self) -> bytes:
        """One whole value or key from the front of the buffer."""
        while True:
            stop = _element_end(self._buffer, 0, self._ended)
            if stop >= 0:
                value = self._buffer[:stop]
                self._buffer = self._buffer[stop:]
                return value
            if self._ended:
                raise self._broken("the end of a value")
            self._double()

    def _peek(self) -> bytes:
        """The next character that is not white space, empty at the end; the white space before it is dropped."""
        while True:
            space = _SPACE.match(self._buffer)
            self._buffer = self._buffer[space.end() if space else 0 :]
            if self._buffer or self._ended:
                return self._buffer[:1]
            self._fill()

    def _drop(self, count: int) -> None:
        self._buffer = self._buffer[count:]

    def _fill(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            self._ended = True
        else:
            self._buffer += chunk

    def _double(self) -> None:
        """Read until the buffer has doubled: scanning one long element again and again stays linear."""
        if len(self._buffer) > MAX_ELEMENT:
            raise ObjectError("too-big", f"one element of more than {MAX_ELEMENT:,} bytes")
        parts, wanted, size = [self._buffer], max(2 * len(self._buffer), 1 << 16), len(self._buffer)
        while size < wanted and not self._ended:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
            else:
                parts.append(chunk)
                size += len(chunk)
        self._buffer = b"".join(parts)

    def _broken(self, wanted: str) -> ObjectError:
        if not self._peek() or (self._ended and _element_end(self._buffer, 0, True) < 0):
            return ObjectError("truncated", f"the JSON ends where {wanted} should be")
        return ObjectError("not-json", f"{self._buffer[:24]!r} stands where {wanted} should be")


def _element_end(buffer: bytes, start: int, ended: bool) -> int:
    """Where the element that begins at `start` ends, or -1 while that has not arrived.

    Brackets are counted, not matched, and scalars are not checked: an element that is not JSON still has an end, and it is
    for the next step to say what is wrong with it.
    """
    mark = buffer[start : start + 1]
    if mark in (b"{", b"["):
        depth = 0
        for token in _TOKEN.finditer(buffer, start):
            byte = buffer[token.start()]
            if byte == 0x22:  # a string
                if token.end() - token.start() == 1:
                    return -1
            elif byte in _OPEN:
                depth += 1
            else:
                depth -= 1
                if depth == 0:
                    return token.end()
        return -1
    if mark == b'"':
        string = _STRING.match(buffer, start)
        return string.end() if string else -1
    scalar = _SCALAR.match(buffer, start)
    if scalar:
        return scalar.end() if scalar.end() < len(buffer) or ended else -1
    # A stray closing brace or a colon: one byte, so that the scan goes on behind it.
    return start + 1 if mark else -1
