"""What in a record or an item is a secret: told by the name of a key, by the name before a value in a text, or by its form.

Ids that AWS Support asks for are none: of accounts, access keys, requests and events, ARNs, the tokens by which a call is made
once (clientToken). A secret that has neither a telling name nor a telling form is not known as one.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

PASSWORD, SECRET, TOKEN, SESSION = "password", "secret", "token", "session token"  # names of kinds
PRIVATE, USER_DATA, COOKIE = "private key", "user data", "cookie"
ENCODED, AUTHORIZATION, CREDENTIALS = "encoded message", "authorization id", "credentials"
SAML, MFA, SIGNATURE = "SAML assertion", "MFA code", "signature"
QUERY, DEEP = "query value", "deeply nested text"
KINDS: Final = (
    PASSWORD,
    SECRET,
    TOKEN,
    SESSION,
    PRIVATE,
    USER_DATA,
    COOKIE,
    ENCODED,
    AUTHORIZATION,
    CREDENTIALS,
    SAML,
    MFA,
    SIGNATURE,
    QUERY,
    DEEP,
)
"""The kinds of what is masked."""

_STAY: Final = re.compile(
    r"(client|idempotency|creation|httpendpoint|clientrequest|requestorclient|callerreference|changebatch)token"
    r"|tokens?(type|keyid|expir\w*|duration|validity\w*)|httptokens?|max\w*tokens?|\w*(input|output)tokens?|\w*reference"
)
_KEYS: Final = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (SESSION, r"(aws|xamz)?(session|security)tokens?"),
        (SESSION, r"\w+(session|security)token"),
        (SAML, r"\w*saml(assertion|response|request)|assertion"),
        (
            MFA,
            r"tokencode\d?|\w*(mfa|verification|confirmation|onetime)code\d?|authenticationcode\d?|otp|\w*onetimepass(word|code)|\w*totp|base32stringseed|qrcodepng",
        ),
        (
            PRIVATE,
            r"\w*privatekey(data|pem|plaintext|body)?|\w*keymaterial|plaintext\w*|\w*(customer|shared|preshared)key|\w*psk",
        ),
        (USER_DATA, r"userdata|\w+userdata"),
        (COOKIE, r"\w*cookies?"),
        (ENCODED, r"(en|de)codedmessage|\w*authori[sz]ationfailuremessage"),
        (AUTHORIZATION, r"(request)?authori[sz]ationid"),
        (SIGNATURE, r"signature|xamzsignature|sig"),
        (CREDENTIALS, r"xamzcredential|authori[sz]ation(header|token|data|code)?|proxyauthori[sz]ation|\w*credentials?"),
        (CREDENTIALS, r"\w*connectionstring|\w*(basic|http)auth"),
        (PASSWORD, r"\w*(passwords?|passwordhash|passwd|passphrase|passwort|pwd|passworddata|passcode)"),
        (SECRET, r"\w*secrets?|\w*secret(string|binary|value|key|accesskey|hash|data)|\w*(api|account|storage|auth)key"),
        (TOKEN, r"\w*tokens?(value)?|(device|user|auth|authentication)code"),
    )
)
_HIDDEN: Final = re.compile(
    r"\*+|X{3,}|<?sensitiveDataRemoved>?|HIDDEN_DUE_TO_SECURITY_REASONS|Value hidden due to security reasons\.?"
    r"|\(?hidden\)?|<?redacted>?|\[redacted\]",
    re.I,
)
_MARK: Final = re.compile(rf"\[masked: (?:{'|'.join(KINDS)})\]")
_NAMES: Final = re.compile(
    r"arn:aws[a-z-]*:[a-z0-9-]+:[^\s\"']*|(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,124}|bearer|basic|digest|negotiate|true|false|null|none",
    re.I,
)
_BEARER: Final = r"(?:bearer|basic|digest|negotiate)"
_MARKED: Final = r"\[masked: [A-Za-z ]+\]"
_QUERY: Final = r"[^&\s\"'<>\\]+"
_QUOTED: Final = r"\"(?:[^\"\\]|\\.)*\"?|(?P<escapes>\\+)\"(?s:.)*?(?:(?<!\\)(?P=escapes)\"|\Z)|'[^']*'?"
_VALUE: Final = rf"{_MARKED}|{_QUOTED}|[^\s,;&\"'<>{{}}\[\]()|]+"

Found = Callable[[str, str], str]
"""Takes a kind and a secret of it, and gives what stands in its place."""


def mark(kind: str) -> str:
    """What stands in the place of a secret."""
    return f"[masked: {kind}]"


def kind_of_key(key: str) -> str:
    """The kind of secret that a key or a name says it holds, or an empty text."""
    plain = "".join(sign for sign in key.casefold() if sign.isalnum())
    if _STAY.fullmatch(plain):
        return ""
    return next((kind for kind, pattern in _KEYS if pattern.fullmatch(plain)), "")


def is_shown(value: str) -> bool:
    """Whether a value stays whatever its key is called: nothing, a name, what AWS has hidden itself, or a mark of ours."""
    text = value.strip()
    return not text or bool(_HIDDEN.fullmatch(text) or _MARK.fullmatch(text) or _NAMES.fullmatch(text))


_FORMS: Final = tuple(
    (kind, re.compile(pattern, flags))
    for kind, pattern, flags in (
        (
            PRIVATE,
            r"(?P<secret>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,40}-----|\Z))",
            re.S,
        ),
        (
            SAML,
            r"(?P<secret><(?:\w{1,20}:)?(?:Assertion|Response)\b[^>]*(?:assertion|SAML).*?(?:</(?:\w{1,20}:)?(?:Assertion|Response)>|\Z))",
            re.S | re.I,
        ),
        (SAML, r"(?P<secret>\bPHNhbW[A-Za-z0-9+/=%_-]{20,})", 0),
        (ENCODED, r"authori[sz]ation failure message:\s*(?P<secret>[A-Za-z0-9_+/=-]{2,})", re.I),
        (AUTHORIZATION, r"authori[sz]ation id\b\s*(?:[:=]|is)\s*[\"']?(?P<secret>[\w-]+)", re.I),
        (AUTHORIZATION, r"authorization-details/(?P<secret>[\w-]+)", re.I),
        (
            SESSION,
            r"(?P<secret>\b(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz|FwoDYXdz|AgoGb3JpZ2lu|AgoJb3JpZ2lu)[A-Za-z0-9+/=%_-]{8,})",
            0,
        ),
        (TOKEN, r"(?P<secret>\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*)", 0),
        (TOKEN, r"(?P<secret>\b(?:gh[pousr]_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}))", 0),
        (SESSION, rf"X-Amz-Security-Token(?:=|%3D)(?P<secret>{_MARKED}|{_QUERY})", re.I),
        (CREDENTIALS, rf"X-Amz-Credential(?:=|%3D)(?P<secret>{_MARKED}|{_QUERY})", re.I),
        (SIGNATURE, rf"X-Amz-Signature(?:=|%3D)(?P<secret>{_MARKED}|{_QUERY})", re.I),
        (TOKEN, r"[?&]code=(?P<secret>[\w.~-]{16,})", re.I),
        (TOKEN, r"\bhooks\.slack\.com/services/(?P<secret>[\w/-]+)", re.I),
        (CREDENTIALS, r"(?:^|\s)(?:-u|--user)\s+[^\s:=/]+:(?P<secret>[^\s\"']+)", 0),
        (QUERY, rf"X-Amz-(?!Request-Id|Id-2)[A-Za-z-]+(?:=|%3D)(?P<secret>{_MARKED}|{_QUERY})", re.I),
        (SIGNATURE, rf"(?:[?&,]|%26|%3F)\s*(?:Signature|sig)(?:=|%3D)(?P<secret>{_MARKED}|[^&\s\"'<>\\,]+)", re.I),
        (COOKIE, r"\b(?:Set-)?Cookie:\s*(?P<secret>[^\r\n\"]+)", re.I),
        (CREDENTIALS, rf"\bAuthorization[\"']?\s*[:=]\s*[\"']?(?:{_BEARER}\s+)?(?P<secret>{_MARKED}|[^\r\n\"']+)", re.I),
        (TOKEN, rf"\b{_BEARER}\s+(?P<secret>[A-Za-z0-9+/=_.~-]{{16,}})", re.I),
        (CREDENTIALS, r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>]*:(?P<secret>[^\s/@\"'<>]+)@", re.I),
    )
)
_NAMED: Final = re.compile(
    rf"(?<![\w.-])(?P<name>[\w.-]*[\w])(?P<mark>\\*[\"']?\s*(?:=|%3D|:(?=\s|\\*[\"'])|:=)\s*)(?P<secret>{_VALUE})"
)
_TIGHT: Final = re.compile(rf"(?<![\w.:/-])(?!secret:)(?P<name>[\w.-]*\w)(?P<mark>:)(?P<secret>(?!//){_VALUE})")
_WORDS: Final = re.compile(
    r"\b(?P<name>(?:secret access|private|api|security|session|access|refresh)\s(?:key|token)"
    r"|(?:mfa|verification|one[ -]time) (?:code|password|passcode))"
    rf"(?P<mark>\s*(?:=|:|\bis\b)\s*)(?P<secret>{_VALUE})",
    re.I,
)
_ELEMENT: Final = re.compile(r"<(?P<name>[A-Za-z][\w:.-]*)(?P<mark>(?:\s[^<>]*)?>)(?P<secret>[^<>]+)(?=</)")
_OPTION: Final = re.compile(rf"(?<![\w-])--?(?P<name>[A-Za-z][\w-]*)(?P<mark>\s+)(?P<secret>(?!-){_VALUE})")


def in_text(text: str, found: Found) -> str:
    """A text with every secret that it shows by itself replaced by what `found` gives."""
    for kind, pattern in _FORMS:
        text = pattern.sub(lambda match, kind=kind: _replaced(match, kind, found), text)  # type: ignore[misc]
    for pattern in (_NAMED, _TIGHT, _WORDS, _ELEMENT, _OPTION):
        text = pattern.sub(lambda match: _replaced(match, kind_of_key(match["name"]), found), text)
    return text


def _replaced(match: re.Match[str], kind: str, found: Found) -> str:
    """The whole of a match with its secret replaced; quotes around it stay."""
    secret = match["secret"]
    bare = secret.strip("\\\"'")
    if not kind or is_shown(bare):
        return match[0]
    start, end = match.start("secret") - match.start(), match.end("secret") - match.start()
    inner = secret.find(bare)
    return match[0][:start] + secret[:inner] + found(kind, bare) + secret[inner + len(bare) :] + match[0][end:]
