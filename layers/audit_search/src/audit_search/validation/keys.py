"""The public keys of CloudTrail, by which the signatures of digest files are checked.

Each region has keys of its own. They come from the API ListPublicKeys, or from a file that holds what the API answers.
https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_ListPublicKeys.html
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from threading import Lock
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key


def verified(key: bytes, signature: str, text: bytes) -> str:
    """Check a signature (hexadecimal, RSA PKCS #1 v1.5 with SHA-256) of a text by a key (DER). What is wrong, or nothing."""
    try:
        public = load_der_public_key(key)
    except (ValueError, UnsupportedAlgorithm):
        return "its public key cannot be read"
    if not isinstance(public, RSAPublicKey):
        return "its public key is no RSA key"
    try:
        public.verify(binascii.unhexlify(signature), text, PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        return "its signature does not fit its content"
    return ""


class KeyRing:
    """Public keys by their fingerprint; `clients` makes a client of CloudTrail for a region.

    `keys` are those that are known beforehand; with no `clients` there are no others.
    """

    def __init__(self, keys: Mapping[str, bytes] | None = None, clients: Callable[[str], Any] | None = None) -> None:
        self._keys = dict(keys or {})
        self._clients = clients
        self._asked: dict[tuple[str, datetime, datetime], BotoCoreError | ClientError | None] = {}
        self._lock = Lock()

    def find(self, fingerprint: str, region: str, since: datetime, until: datetime) -> bytes | None:
        """The key (DER) of a fingerprint, asked for in a region and a range of time, or None. Raises botocore's errors."""
        with self._lock:
            asked = region, since, until
            if fingerprint not in self._keys and self._clients:
                if asked not in self._asked:
                    self._asked[asked] = self._learn(self._clients(region), since, until)
                trouble = self._asked[asked]
                if trouble is not None:
                    raise trouble  # the next digests of the region would wait for the same answer
            return self._keys.get(fingerprint)

    def _learn(self, client: Any, since: datetime, until: datetime) -> BotoCoreError | ClientError | None:
        """Add the keys of a range; what kept CloudTrail from answering."""
        try:
            for page in client.get_paginator("list_public_keys").paginate(StartTime=since, EndTime=until):
                self._keys |= {key["Fingerprint"]: key["Value"] for key in page.get("PublicKeyList", [])}
        except (BotoCoreError, ClientError) as error:
            return error
        return None

    def exported(self) -> dict[str, Any]:
        """Every key that is known, in the form of the API's answer: what `read` takes."""
        keys = [{"Fingerprint": name, "Value": base64.b64encode(value).decode()} for name, value in sorted(self._keys.items())]
        return {"PublicKeyList": keys}


class KeyFileError(ValueError):
    """A text of public keys is not what it should be."""


def read(texts: Iterable[str]) -> dict[str, bytes]:
    """The keys in texts as `aws cloudtrail list-public-keys` prints them. Raises KeyFileError with what is wrong."""
    keys: dict[str, bytes] = {}
    for text in texts:
        try:
            content = json.loads(text)
            listed = content["PublicKeyList"] if isinstance(content, dict) else content
            keys |= {str(key["Fingerprint"]): base64.b64decode(key["Value"], validate=True) for key in listed}
        except (ValueError, KeyError, TypeError) as error:
            raise KeyFileError(
                f"it is not what `aws cloudtrail list-public-keys` prints ({type(error).__name__}: {error})"
            ) from error
    return keys
