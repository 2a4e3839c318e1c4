"""Policy documents in CloudTrail's records: their statements, and to whom they open what they are attached to.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

_ACCOUNT = re.compile(r"(?:^|::)(\d{12})(?::|$)")
_NARROWING = frozenset(
    f"aws:{key}"
    for key in (
        *("sourceip", "sourcearn", "sourcevpc", "sourcevpce", "sourceowner", "sourceaccount", "sourceorgid", "sourceorgpaths"),
        *("userid", "principalorgid", "principalorgpaths", "principalaccount", "principalarn"),
    )
) | {"kms:calleraccount", "s3:dataaccesspointarn", "s3:dataaccesspointaccount"}
"""Keys of conditions that leave not everybody. Others, such as aws:SecureTransport, can be met by anybody.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html, the meaning of public"""


def statements(document: object) -> Iterator[Mapping[str, Any]]:
    """The statements of a policy that stands in a record as an object or as JSON, percent-encoded or not; none of other text."""
    if isinstance(document, str):
        document = unquote(document) if document.startswith("%7B") else document
        try:
            document = _parsed(document)
        except (ValueError, RecursionError):  # a log may hold any text
            return
    if isinstance(document, Mapping):
        found = document.get("Statement")
        yield from (each for each in (found if isinstance(found, list) else [found]) if isinstance(each, Mapping))


def _parsed(document: str) -> object:
    try:
        return msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeEncodeError):  # such as NaN, or a number out of range
        return json.loads(document)


def open_to_everybody(document: object) -> bool:
    """Whether a statement allows something to any principal, and no condition narrows it to some."""
    return any(_allows_everybody(statement) for statement in statements(document))


def open_to_others(document: object, own: str | None) -> bool:
    """Whether a statement allows something to everybody, or to a principal of another account than the one with the id `own`."""
    return any(_allows_everybody(each) or _allows_another(each, own) for each in statements(document))


def _allows_everybody(statement: Mapping[str, Any]) -> bool:
    if statement.get("Effect") != "Allow" or ("*" not in _principals(statement) and "NotPrincipal" not in statement):
        return False
    condition = statement.get("Condition")
    operators = condition.values() if isinstance(condition, Mapping) else ()
    return not any(str(key).lower() in _NARROWING for keys in operators if isinstance(keys, Mapping) for key in keys)


def _allows_another(statement: Mapping[str, Any], own: str | None) -> bool:
    if statement.get("Effect") != "Allow":
        return False
    principal = statement.get("Principal")
    if isinstance(principal, Mapping) and "CanonicalUser" in principal:
        return True
    accounts = [found[1] for each in _principals(statement) if (found := _ACCOUNT.search(each))]
    return any(account != own for account in accounts)


def _principals(statement: Mapping[str, Any]) -> list[str]:
    """Those of AWS accounts; services and identity providers are named by other keys."""
    principal = statement.get("Principal")
    named = principal.get("AWS") if isinstance(principal, Mapping) else principal
    return [each for each in (named if isinstance(named, list) else [named]) if isinstance(each, str)]
