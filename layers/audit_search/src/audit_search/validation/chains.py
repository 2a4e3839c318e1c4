"""The digests of a range of time, and whether each is the one that CloudTrail wrote.

They are found by listing, and besides by following the links back: a digest that was removed shows by its successor, which
names it. Stricter than `aws cloudtrail validate-logs` in one thing: a digest has to have the signature that its successor
names, so that one cannot be put in another's place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from audit_search.documents import parse_time
from audit_search.envelopes import ObjectRef
from audit_search.errors import ObjectError
from audit_search.validation import digests, stores
from audit_search.validation.digests import Chain, Digest, DigestError, Name
from audit_search.validation.keys import KeyRing, verified
from audit_search.validation.reports import DigestVerdict
from audit_search.validation.stores import Store

HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_BROKEN: Final = frozenset({"not-gzip", "truncated", "corrupt"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Which digests: those that end from `since` to an hour after `until` (UTC), which list what was delivered until then.

    An empty collection of accounts, regions or trails means all of them. `prefix` is the trail's key prefix.
    """

    since: datetime
    until: datetime
    prefix: str = ""
    accounts: Collection[str] = ()
    regions: Collection[str] = ()
    trails: Collection[str] = ()

    def takes(self, name: Name) -> bool:
        """Whether a digest is meant."""
        return self.takes_chain(name.chain) and self.since <= name.end <= self.until + HOUR

    def takes_chain(self, chain: Chain) -> bool:
        """Whether a chain is meant."""
        return (
            (not self.accounts or chain.account in self.accounts)
            and (not self.regions or chain.region in self.regions)
            and (not self.trails or chain.trail in self.trails)
        )

    def takes_folder(self, folder: str) -> bool:
        """Whether a folder `…/<account>/CloudTrail-Digest/<region>/` is meant."""
        account, _, region = folder.rstrip("/").split("/")[-3:]
        return (not self.accounts or account in self.accounts) and (not self.regions or region in self.regions)

    def days(self) -> Iterator[str]:
        """The folders of the days, as keys name them."""
        day = self.since.date()
        while day <= (self.until + HOUR).date():
            yield f"{day:%Y/%m/%d}/"
            day += _DAY


@dataclass(slots=True)
class Checked:
    """A digest that was looked at; `digest` is there where it is to be trusted, `name` says whose it is."""

    name: Name
    bucket: str
    state: str
    reason: str = ""
    digest: Digest | None = None
    signature: str = ""

    def verdict(self) -> DigestVerdict:
        """What is to be said of it."""
        bucket = self.digest.bucket if self.digest else self.bucket
        files = len(self.digest.files) if self.digest else 0
        return DigestVerdict(self.name.chain, bucket, self.name.key, self.state, self.reason, files)


def listed(store: Store, selection: Selection) -> Iterator[dict[Chain, list[Name]]]:
    """The digests of each account and region by their chain, in the order of their time. Raises ObjectError."""
    for folder in stores.folders(store, selection.prefix):
        if not selection.takes_folder(folder):
            continue
        chains: dict[Chain, list[Name]] = defaultdict(list)
        for day in selection.days():
            for key in store.keys(folder + day):
                name = digests.name(key)
                if name and selection.takes(name):
                    chains[name.chain].append(name)
        for names in chains.values():
            names.sort(key=lambda name: name.end)
        yield chains


def check(store: Store, keys: KeyRing, selection: Selection, name: Name, bucket: str) -> Checked:
    """Read one digest, and look at its place, its content and its signature; its links are another matter."""
    try:
        stored = store.digest(bucket, name.key)
        digest = digests.parse(stored.content)
        _in_its_place(digest, bucket, name.key)
        signature = _signed(digest, stored.metadata, keys, selection, name.chain)
    except DigestError as error:
        return Checked(name, bucket, error.state, error.reason)
    except ObjectError as error:
        state = "missing" if error.code == "gone" else "malformed" if error.code in _BROKEN else "unread"
        return Checked(name, bucket, state, error.reason)
    except (BotoCoreError, ClientError) as error:
        return Checked(name, bucket, "unread", f"CloudTrail cannot be asked for its public keys: {error}")
    return Checked(name, bucket, "valid", digest=digest, signature=signature)


def _in_its_place(digest: Digest, bucket: str, key: str) -> None:
    if digest.key != key or (bucket and digest.bucket != bucket):
        raise DigestError("moved", f"it belongs at {ObjectRef(digest.bucket, digest.key)}")


def _signed(digest: Digest, metadata: object, keys: KeyRing, selection: Selection, chain: Chain) -> str:
    """The signature, which fits. Raises DigestError."""
    values = metadata if isinstance(metadata, dict) else {}
    signature = values.get("signature")
    if not isinstance(signature, str) or "signature-algorithm" not in values:
        raise DigestError("unsigned", "its signature is not known: it is in the metadata of the object in S3, or in --signatures")
    since, until = selection.since, selection.until + 2 * HOUR
    if chain.backfill:  # signed long after its hour
        generated = parse_time(str(values.get("backfill-generation-timestamp", "")))
        if generated is None:
            raise DigestError("malformed", "its metadata does not say when it was made (backfill-generation-timestamp)")
        since, until = generated - HOUR, generated + HOUR
    key = keys.find(digest.fingerprint, chain.region, since, until)
    if key is None:
        raise DigestError("key", f"no public key has the fingerprint {digest.fingerprint} in {chain.region}")
    wrong = verified(key, signature, digest.signed)
    if wrong:
        raise DigestError("signature", wrong)
    return signature


def predecessor(checked: Checked, selection: Selection) -> tuple[str, Name] | None:
    """The bucket and name of the digest before a valid one, where that is in the range too."""
    digest = checked.digest
    if digest is None or digest.previous is None or digest.start < selection.since:
        return None
    bucket, key = digest.previous
    name = digests.name(key)
    # A key that is none of a digest cannot be read as one: it is reported under the chain that names it.
    return bucket, name or Name(key, checked.name.chain, digest.start)


def linked(before: Checked, after: Checked) -> str:
    """What is wrong with the link from a valid digest to the valid one before it, or nothing."""
    if before.digest is None or after.digest is None:
        return ""
    if after.digest.previous_signature != before.signature:
        return f"its successor {after.name.key} names another signature"
    if after.digest.previous_hash not in (None, before.digest.hash):
        return f"its successor {after.name.key} names another content"
    return ""
