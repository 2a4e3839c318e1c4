"""Masks secrets in what is handed on: at any depth of a document, in JSON that stands in a text, in free text.

In the place of each secret is a mark with its kind, the same for the same document. What was once seen to be a secret is masked
wherever it stands again, unless it is part of what has to stay.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, unquote

from audit_search_cli.questions.confidential import CREDENTIALS, DEEP, QUERY, SECRET, in_text, is_shown, kind_of_key, mark

_DEEPEST: Final = 60
_TEXTS: Final = 6
"""So many texts with JSON within each other are read; one that is deeper is masked whole."""
_SHORTEST: Final = 6
_LONG: Final = 16
_PAIRS: Final = (
    "name",
    "key",
    "parameterkey",
    "parametername",
    "variablename",
    "headername",
    "attributename",
    "optionname",
    "field",
)
_VALUES: Final = (
    "value",
    "values",
    "parametervalue",
    "variablevalue",
    "headervalue",
    "attributevalue",
    "stringvalue",
    "defaultvalue",
)


@dataclass(frozen=True, slots=True)
class Masked:
    """A document without its secrets: how many different ones there were of each kind, and the paths where they stood."""

    document: Any
    kinds: Mapping[str, int]
    places: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Pass:
    """One way through a document: what it found, and what was known before it."""

    known: re.Pattern[str] | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    places: dict[tuple[str, str], None] = field(default_factory=dict)

    def tree(self, value: Any, path: str = "", depth: int = 0, texts: int = 0) -> Any:
        """A value without its secrets."""
        if depth > _DEEPEST and isinstance(value, (dict, list)):
            return self._found(DEEP, json.dumps(value, default=str), path)
        if isinstance(value, dict):
            return self._object(value, path, depth, texts)
        if isinstance(value, list):
            return [self.tree(one, f"{path}[{number}]", depth + 1, texts) for number, one in enumerate(value)]
        return self.text(value, path, texts) if isinstance(value, str) else value

    def _object(self, value: dict[str, Any], path: str, depth: int, texts: int) -> dict[str, Any]:
        named = _named(value)
        found: dict[str, Any] = {}
        for key, inner in value.items():
            shown = self._free(str(key), path)
            number = 2
            while shown in found:
                shown, number = f"{shown} ({number})", number + 1
            below = f"{path}.{shown}" if path else shown
            kind = kind_of_key(str(key)) or (named if _plain(str(key)) in _VALUES else "")
            found[shown] = self._held(inner, kind, below, depth + 1, texts) if kind else self.tree(inner, below, depth + 1, texts)
        return found

    def _held(self, value: Any, kind: str, path: str, depth: int, texts: int) -> Any:
        """What a key holds that says it holds a secret: all of it, but what is a name, and objects that say it themselves."""
        if depth > _DEEPEST and isinstance(value, (dict, list)):
            return self._found(DEEP, json.dumps(value, default=str), path)
        if isinstance(value, list):
            return [self._held(one, kind, f"{path}[{number}]", depth + 1, texts) for number, one in enumerate(value)]
        if isinstance(value, dict):
            return self._inside(value, kind, path, depth, texts)
        if value is None or isinstance(value, bool) or is_shown(str(value)):
            return value
        return self._found(kind, str(value), path)

    def _inside(self, value: dict[str, Any], kind: str, path: str, depth: int, texts: int) -> dict[str, Any]:
        """An object under such a key: all of it is secret; of credentials and secrets, which have names, the values."""
        found = self._object(value, path, depth, texts)
        for key, shown in zip(value, list(found), strict=True):
            if kind not in (CREDENTIALS, SECRET) or _plain(str(key)) in _VALUES:
                found[shown] = self._held(value[key], kind_of_key(str(key)) or kind, f"{path}.{shown}", depth + 1, texts)
        return found

    def text(self, value: str, path: str, texts: int = 0) -> str:
        """A text without its secrets; JSON in it, also as it stands in a URL, is looked at as what it is."""
        begins = value.lstrip()[:3].upper()
        if begins.startswith(("{", "[", '"')):
            loaded = _load(value)
            if isinstance(loaded, (dict, list, str)) and loaded != value:
                return self._nested(value, loaded, path, texts)
        if begins in ("%7B", "%5B", "%22"):
            plain = unquote(value)
            shown = self.text(plain, path, texts + 1) if texts < _TEXTS else mark(DEEP)
            return value if shown == plain else quote(shown, safe="")
        return self._free(value, path)

    def _nested(self, value: str, loaded: Any, path: str, texts: int) -> str:
        if texts >= _TEXTS:
            return self._free(value, path) if len(value) < _SHORTEST else self._found(DEEP, value, path)
        shown = self.tree(loaded, path, 0, texts + 1)
        if shown != loaded:
            return json.dumps(shown, ensure_ascii=False)
        return self._free(value, path)  # of a key that stands twice only the last was looked at

    def _free(self, value: str, path: str) -> str:
        if self.known:
            value = self.known.sub(lambda match: self._again(match[0], path), value)
        return in_text(value, lambda kind, secret: self._found(kind, secret, path))

    def _again(self, secret: str, path: str) -> str:
        return self._found(self.kinds[secret], secret, path)

    def _found(self, kind: str, secret: str, path: str) -> str:
        self.secrets.setdefault(self._whole(secret), kind)
        self.places[path, kind] = None
        return mark(kind)

    @staticmethod
    def _whole(secret: str) -> str:
        return secret.strip()


def masked(document: Any, keep: Iterable[str] = ()) -> Masked:
    """A document of JSON without its secrets. What is in a text of `keep` (ids, ARNs) is only masked where its key or its form
    says that it is a secret."""
    first = _Pass()
    first.tree(document)
    kinds = _everywhere(first.secrets, list(keep))
    second = _Pass(_pattern(kinds), kinds)
    shown = second.tree(document)
    counts = Counter(first.secrets.values())
    return Masked(shown, dict(sorted(counts.items())), tuple(second.places))


def in_words(text: str) -> str:
    """A text without the secrets that it shows."""
    return str(masked(text).document)


def _everywhere(secrets: Mapping[str, str], keep: list[str]) -> dict[str, str]:
    """The secrets to be masked wherever they stand, in each way in which they may be written."""
    found: dict[str, str] = {}
    for secret, kind in secrets.items():
        if kind in (QUERY, DEEP) or len(secret) < _SHORTEST or any(secret in text for text in keep):
            continue
        for written in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, safe="")):
            found.setdefault(written, kind)
    return found


def _pattern(secrets: Mapping[str, str]) -> re.Pattern[str] | None:
    """Any of the secrets, the longest first; a short one only where it stands by itself."""
    if not secrets:
        return None
    parts = []
    for secret in sorted(secrets, key=lambda one: (-len(one), one)):
        alone = len(secret) < _LONG
        parts.append(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])" if alone else re.escape(secret))
    return re.compile("|".join(parts))


def _named(value: Mapping[str, Any]) -> str:
    """The kind of secret that an object is whose name is in one of its values: {"name": "DB_PASSWORD", "value": …}."""
    for key, inner in value.items():
        if isinstance(inner, str):
            if _plain(key) in _PAIRS and kind_of_key(inner):
                return kind_of_key(inner)
            if _plain(key) == "type" and inner == "SecureString":
                return SECRET
    return ""


def _plain(key: str) -> str:
    return "".join(sign for sign in str(key).casefold() if sign.isalnum())


def _load(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
