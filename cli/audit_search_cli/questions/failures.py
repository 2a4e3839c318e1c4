"""What kind of failure an error is, and what it means: denied, a limit, throttled, not there, not valid, and so on.

Told from the error's code, its text and the service; where neither is known it says so.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-aws-console-sign-in-events.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from audit_search_cli.questions import denials
from audit_search_cli.questions.denials import Denial
from audit_search_cli.questions.events import Event

DENIED, LIMIT, THROTTLED, CAPACITY = "denied", "limit", "throttled", "capacity"
MISSING, INVALID, CONFLICT, DRY_RUN = "not found", "not valid", "conflict", "dry run"
SIGN_IN, CREDENTIALS, UNSUPPORTED, SERVICE = "sign-in", "credentials", "not supported", "service"
SUCCESS, UNKNOWN = "success", "unknown"


@dataclass(frozen=True, slots=True)
class Failure:
    """What an event's error is: its kind, what it means in sentences, what the record leaves open, and the denial's parts."""

    kind: str
    meaning: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    denial: Denial | None = None


_CODES: Final = (
    (DRY_RUN, r"DryRunOperation"),
    (THROTTLED, r"Throttl|RequestLimitExceeded|TooManyRequests|SlowDown|RequestThrottled|PriorRequestNotComplete|^EC2Throttled"),
    (THROTTLED, r"ProvisionedThroughputExceeded|BandwidthLimitExceeded"),
    (CAPACITY, r"Insufficient\w*Capacity|InsufficientCapacity|CapacityNotAvailable|Server\.Capacity|InsufficientHostCapacity"),
    (CREDENTIALS, r"ExpiredToken|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|InvalidAccessKeyId|AuthFailure"),
    (
        CREDENTIALS,
        r"InvalidToken|IncompleteSignature|MissingAuthenticationToken|TokenRefreshRequired|RequestExpired",
    ),
    (
        DENIED,
        r"AccessDenied|UnauthorizedOperation|NotAuthorized|AuthorizationError|UnauthorizedAccess|AuthorizationFail|Forbidden",
    ),
    (DENIED, r"UnauthorizedException|^403$|KMS\.AccessDenied|AccessDeniedForDependency|NoPermission"),
    (LIMIT, r"LimitExceeded|QuotaExceeded|LimitReached|TooMany(?!Requests)|MaximumCount|ExceedsLimit|ResourceLimit|MaxLimit"),
    (LIMIT, r"^(Client\.)?(AddressLimit|MaxIOPSLimit|\w*Limit)$"),
    (MISSING, r"NotFound|NoSuch|DoesNotExist|NonExistent|UnknownResource|NotExist|^404$|InvalidAMIID\.Unavailable"),
    (
        CONFLICT,
        r"AlreadyExists|Conflict|Duplicate|InUse|DependencyViolation|NotEmpty|IncorrectState|InvalidState|AlreadyOwned|InsufficientFreeAddresses",
    ),
    (CONFLICT, r"EntityAlreadyExists|DeleteConflict|OperationNotPermitted|IncorrectInstanceState|ConcurrentModification|\.InUse"),
    (
        UNSUPPORTED,
        r"^InvalidAccessException$|Unsupported|NotSupported|NotImplemented|OptInRequired|SubscriptionRequired|InvalidAction|UnknownOperation|MethodNotAllowed",
    ),
    (INVALID, r"Invalid|Validation|Malformed|MissingParameter|Parameter|BadRequest|UnknownParameter|SerializationException"),
    (SERVICE, r"InternalError|InternalFailure|ServiceUnavailable|ServiceException|InternalServer|^Server\.|Unavailable|^5\d\d$"),
)
_CODE_PATTERNS: Final = tuple((kind, re.compile(pattern)) for kind, pattern in _CODES)
_REQUEST_RATE: Final = re.compile(r"rate exceeded|request limit exceeded|too many requests|reduce your request rate", re.I)
_DENIED_TEXT: Final = re.compile(r"not authori[sz]ed to perform|access denied|accessdenied|explicit deny", re.I)
_KMS_ABSENT: Final = re.compile(r"does not exist.{0,60}or you are not allowed to access", re.I | re.S)
_SIGN_INS: Final = {
    "Failed authentication": "Sign-in failed: the password or the second factor was wrong.",
    "No username found in supplied account": (
        "Sign-in failed: the account has no user of this name. CloudTrail hides the name, for it may be a password."
    ),
}


def kind_of(code: str, message: str) -> str:
    """The kind of an error."""
    plain = code.rpartition("/")[2]
    for kind, pattern in _CODE_PATTERNS:
        if pattern.search(plain):
            return kind
    if _DENIED_TEXT.search(message):
        return DENIED
    return THROTTLED if _REQUEST_RATE.search(message) else UNKNOWN


def of(event: Event) -> Failure:
    """What an event's error is; `success` where it has none."""
    if event.name == "ConsoleLogin" and event.failed:
        return _sign_in(event)
    code, message = event.said("errorCode"), event.said("errorMessage")
    if not event.failed and not code:
        return Failure(SUCCESS, ("The call succeeded: it has no error.",))
    kind = kind_of(code, message)
    if kind == DENIED:
        return _denied(event, code, message)
    meaning, unknown = _MEANINGS[kind]
    further = []
    if kind == DRY_RUN and event.failed:
        meaning = "No failure: with DryRun, DryRunOperation says that the call would have succeeded. Nothing was done."
    if kind in (CONFLICT, INVALID, MISSING) and code:
        further = [f"The service calls it {code}; its own words say what."]
    if not message:
        unknown = (*unknown, "The record has no error message.")
    return Failure(kind, (meaning, *further), unknown)


def _denied(event: Event, code: str, message: str) -> Failure:
    found = denials.read(message)
    if event.service == "kms" and _KMS_ABSENT.search(message):
        said = "Denied, or there is no such key: KMS says the same of both, so that nobody learns which keys exist."
        return Failure(DENIED, (said,), ("Whether the key exists or the caller may not use it is not said.",), found)
    if code == "VpceAccessDenied" and not found.policy:
        found = denials.read(f"{message} denied due to a VPC endpoint policy")
    if not found.action and event.service and event.name:
        meant = f"{event.service}:{event.name}"
        found = _with_action(found, meant)
    return Failure(DENIED, tuple(denials.meaning(found)), tuple(denials.unknown(found)), found)


def _with_action(found: Denial, action: str) -> Denial:
    """The same where the text names no action: the API itself was denied, though perhaps for what it calls in turn."""
    parts = {name: getattr(found, name) for name in Denial.__slots__}
    return Denial(**{**parts, "action": action})


def _sign_in(event: Event) -> Failure:
    message = event.said("errorMessage")
    said = _SIGN_INS.get(message, f"Sign-in failed: {message or 'no reason is given'}.")
    used = event.said("additionalEventData.MFAUsed")
    further = f"With a second factor: {used}." if used else ""
    unknown = ("Which of both was wrong is not said.",) if message == "Failed authentication" else ()
    return Failure(SIGN_IN, tuple(filter(None, (said, further))), unknown)


_MEANINGS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    DRY_RUN: ("With DryRun, the call would have succeeded. Nothing was done.", ()),
    THROTTLED: (
        "Throttled: more calls a second than the service takes of this account and region. The same call may succeed later.",
        ("Calls that are not recorded (data events, other services on one's behalf) count as well.",),
    ),
    CAPACITY: (
        "AWS has not enough of this type in this zone at present; it is no quota of the account, and not the caller's doing.",
        (),
    ),
    CREDENTIALS: ("The credentials or the signature were refused: expired, not valid, or the region is not switched on.", ()),
    LIMIT: (
        "A quota of the account in this region was reached. Fewer resources or a higher quota (Service Quotas) help.",
        ("How many resources there were at that time is not in the event.",),
    ),
    MISSING: ("What the call names is not there: it never was, is gone, or is in another region or account.", ()),
    CONFLICT: ("The state of what the call names does not allow it: it exists already, is in use, or is protected.", ()),
    UNSUPPORTED: (
        "The service does not offer this here: the type, zone, region or combination is not supported, or it is not switched on.",
        (),
    ),
    INVALID: ("A parameter is not valid, or parameters do not fit together.", ()),
    SERVICE: ("The service itself failed; the same call may succeed later.", ()),
    UNKNOWN: ("What this error means is not known here; the service's own words follow.", ()),
}
