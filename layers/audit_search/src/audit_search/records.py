"""An inflated object becomes the original texts of its records, a window at a time.

The shape is `{"Records":[{…},{…}]}`, or another array in AWS Config's objects. The fast way guesses a place between two
records (`,` and the first key of the first record), and a JSON parser accepts or refuses the guess: a quotation mark inside a
string is always escaped, so an accepted cut is right. Whatever the parser refuses (another key order, pretty-printing, NaN, a
lone surrogate, broken JSON) goes the exact way: a scanner that follows strings and brackets, needs no window to be valid, and
hands out even what is not JSON as one element, so that its neighbours stay whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from audit_search.errors import ObjectError

MAX_ELEMENT = 64 << 20
"""Bytes of one array element (CloudTrail's own limit is 256 KiB); it bounds memory against endless strings."""

_WINDOW = 1 << 19
"""Bytes at least that a guess looks at, where the object has as many."""

_LONGEST = 4 << 20
"""Bytes after which an element that has not ended is taken for a broken one, if there is a border in sight."""

_HEAD = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"Records"[ \t\r\n]*:[ \t\r\n]*\[')
_FIRST_KEY = re.compile(rb'[ \t\r\n]*(\{[ \t\r\n]*"[^"\\]*")[ \t\r\n]*:')
_BOM = b"\xef\xbb\xbf"
_GAP = re.compile(rb"[ \t\r\n,]*")
_SPACE = re.compile(rb"[ \t\r\n]*")
# A lone quotation mark is a string that has not arrived whole.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}"]', re.DOTALL)
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb'[^\s,\[\]{}"]+')
_OPEN = frozenset(b"{[")

_NEXT = re.compile(rb"[ \t\r\n]*(?:,[ \t\r\n]*\{|\])")

_raws = msgspec.json.Decoder(list[msgspec.Raw])
_raw = msgspec.json.Decoder(msgspec.Raw)


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
    scanner = Scanner(chunks)
    yield from scanner.windows()
    if not scanner.found:
        raise _without_records(scanner.keys)


def _without_records(keys: list[str]) -> ObjectError:
    if not keys:
        return ObjectError("no-records", "the object holds no JSON")
    names = set(keys)
    if "digestS3Object" in names or "digestStartTime" in names:
        return DigestObjectError("CloudTrail digest", "a digest file, recognised by its content")
    if "configurationItems" in names or "configurationItem" in names:
        return DigestObjectError("AWS Config object", "a configuration history or snapshot, recognised by its content")
    return ObjectError("no-records", "no Records in it; its top-level keys are " + ", ".join(keys[:20]))


class Scanner:
    """Cuts the elements out of the top-level arrays of the names `arrays`, and keeps the texts of the top-level values `keep`.

    `keys` are the other top-level keys seen, `found` says whether there was an array, `kept` holds what was kept, by key.
    """

    def __init__(
        self, chunks: Iterator[bytes], arrays: frozenset[str] = frozenset({"Records"}), keep: frozenset[str] = frozenset()
    ) -> None:
        self.keys: list[str] = []
        self.found = False
        self.kept: dict[str, bytes] = {}
        self._arrays = arrays
        self._keep = keep
        self._chunks = chunks
        self._buffer = b""
        self._first = b""  # how the records begin, with their first key: what makes a border recognisable
        self._next = (b"", -1)  # the border found last, and in which buffer
        self._at = 0  # what lies before it has been taken; to cut it off at each step would be quadratic
        self._ended = False
        self._error: ObjectError | None = None

    def windows(self) -> Iterator[Window]:
        """One top-level object, or several behind each other, as gzip members may hold them.

        Raises ObjectError: not-json, truncated, no-records (an array that is none), too-big.
        """
        self._fill(len(_BOM))
        self._at = len(_BOM) if self._buffer.startswith(_BOM) else 0  # files that an editor has had its hands on
        while self._peek():
            yield from self._object()
        if self._error:
            raise self._error

    def _object(self) -> Iterator[Window]:
        self._fill(64)
        head = _HEAD.match(self._buffer, self._at) if "Records" in self._arrays else None
        if head:
            self.found = True
            self._at = head.end()
            yield from self._array()
        elif self._peek() == b"{":
            self._at += 1
        else:
            raise ObjectError("not-json", f"the object begins with {self._rest(1)!r}, not with a JSON object")
        yield from self._members()

    def _members(self) -> Iterator[Window]:
        """The rest of a top-level object: other keys, before or after Records, in any order."""
        while True:
            mark = self._peek()
            if mark == b"}":
                self._at += 1
                return
            if mark == b",":
                self._at += 1
                continue
            if mark != b'"':
                raise self._broken("a key or the end of the object")
            key = self._take()
            if self._peek() != b":":
                raise self._broken("a colon")
            self._at += 1
            mark = self._peek()
            name = key[1:-1].decode("utf-8", "replace")
            if len(self.keys) < 1_000:
                self.keys.append(name[:64])
            if name in self._arrays and mark == b"[":
                self.found = True
                self._at += 1
                yield from self._array()
            elif mark == b"":
                raise self._broken("a value")
            elif name in self._arrays:
                raise ObjectError("no-records", f"{name} is not a list")
            elif name in self._keep:
                self.kept[name] = self._take()
            else:
                self._take()

    def _array(self) -> Iterator[Window]:
        """The elements up to the closing bracket, which is taken as well."""
        while True:
            if self._peek() == b"]":
                self._at += 1
                return
            self._fill(_WINDOW)
            first = _FIRST_KEY.match(self._buffer, self._at)
            if first and first[1] != self._first:
                self._first, self._next = first[1], (b"", -1)
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
                    self._buffer = b"}"  # the guess took both closing brackets; see _guess
                    return

    def _guess(self) -> Window | None:
        """All records up to the last place that looks like a border, or None where a parser refuses it."""
        buffer, at = self._buffer, self._at
        if self._ended:
            # At the end the border is the array's and the object's own.
            rest = buffer[at:].rstrip()
            if not rest.endswith(b"}"):
                return None
            rest = rest[:-1].rstrip()
            if not rest.endswith(b"]"):
                return None
            array, left = b"[" + rest, b""
        else:
            if not self._first:
                return None
            cut = buffer.rfind(b"," + self._first, at)
            if cut < 0:
                return None
            array, left = b"[" + buffer[at:cut] + b"]", buffer[cut + 1 :]
        try:
            texts = _raws.decode(array)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        self._buffer, self._at = left, 0
        return Window(texts, array)

    def _scan(self) -> tuple[list[bytes], bool]:
        """The elements that are whole in the buffer, at least one unless the array closes; whether it closed."""
        texts: list[bytes] = []
        while True:
            buffer = self._buffer
            end = len(buffer)
            position = self._at
            while True:
                gap = _GAP.match(buffer, position)
                position = gap.end() if gap else position
                if position < end and buffer[position] == 0x5D:  # ]
                    self._at = position + 1
                    return texts, True
                stop = self._element(position) if position < end else -1
                if stop < 0:
                    break
                texts.append(buffer[position:stop])
                position = stop
            self._at = position
            if texts:
                return texts, False
            if self._ended or (end - position > _LONGEST and self._border(position) > 0):
                return [self._resynchronise()], False
            self._double()

    def _element(self, start: int) -> int:
        """Where the element at `start` ends, or -1 while that has not arrived.

        A bracket or a quotation mark that is missing or too many makes a broken element end within itself, within one of
        its neighbours, or behind all of them: there it ends at the next place that looks like a border.
        """
        buffer = self._buffer
        stop = _element_end(buffer, start, self._ended)
        if stop < 0 or _is_json(buffer[start:stop]):
            return stop
        border = self._border(start)
        if 0 < border < stop or not _NEXT.match(buffer, stop):
            if border > 0:
                return border
            if not self._ended and len(buffer) - start < 2 * _WINDOW:
                return -1
        return stop

    def _resynchronise(self) -> bytes:
        """An element without an end (a quotation mark is missing), up to the next place that looks like a border."""
        border = self._border(self._at)
        if border < 0:
            raise self._broken("a record or the end of the list")
        text = self._buffer[self._at : border]
        self._at = border
        return text

    def _border(self, start: int) -> int:
        """The next place behind `start` that looks like a border between two records, or -1."""
        if not self._first:
            return -1
        found, border = self._next
        if found is not self._buffer or 0 <= border <= start:
            border = self._buffer.find(b"," + self._first, start + 1)
            self._next = (self._buffer, border)
        return border

    def _take(self) -> bytes:
        """One whole value or key from the front of the buffer."""
        while True:
            start = self._at
            stop = _element_end(self._buffer, start, self._ended)
            if stop >= 0:
                self._at = stop
                return self._buffer[start:stop]
            if self._ended:
                raise self._broken("the end of a value")
            self._double()

    def _peek(self) -> bytes:
        """The next character that is not white space, empty at the end; the white space before it is dropped."""
        while True:
            space = _SPACE.match(self._buffer, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._buffer) or self._ended:
                return self._rest(1)
            self._fill(1)

    def _rest(self, size: int) -> bytes:
        return self._buffer[self._at : self._at + size]

    def _double(self) -> None:
        """Read until the buffer has doubled: scanning one long element again and again stays linear."""
        size = len(self._buffer) - self._at
        if size > MAX_ELEMENT:
            raise ObjectError("too-big", f"one element of more than {MAX_ELEMENT:,} bytes")
        self._fill(max(2 * size, 1 << 16))

    def _fill(self, wanted: int) -> None:
        """Read until `wanted` bytes are there or the object ends; chunks may be of any size, also many of one byte."""
        size = len(self._buffer) - self._at
        if size >= wanted or self._ended:
            return
        parts = [self._buffer[self._at :]]
        while size < wanted:
            try:
                chunk = next(self._chunks)
            except StopIteration:
                self._ended = True
                break
            except ObjectError as error:
                if error.code == "time-budget":
                    raise
                # An object that breaks off: the records that came whole are handed out first.
                self._error, self._ended = error, True
                break
            parts.append(chunk)
            size += len(chunk)
        self._buffer, self._at = b"".join(parts), 0

    def _broken(self, wanted: str) -> ObjectError:
        if self._error:
            return self._error
        if not self._peek() or (self._ended and _element_end(self._buffer, self._at, True) < 0):
            return ObjectError("truncated", f"the JSON ends where {wanted} should be")
        return ObjectError("not-json", f"{self._rest(1)!r} stands where {wanted} should be")


def _is_json(text: bytes) -> bool:
    """Whether a text is JSON, as leniently as the next step takes it (NaN, control characters, lone surrogates, any depth)."""
    try:
        _raw.decode(text)
    except (msgspec.DecodeError, RecursionError):
        try:
            json.loads(text.decode("utf-8", "replace"), strict=False, parse_int=len)
        except RecursionError:
            return True
        except ValueError:
            return False
    return True


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
