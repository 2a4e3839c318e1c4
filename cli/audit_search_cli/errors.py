"""What goes wrong, as one line with what to do, and the exit code that says which kind it is."""

from __future__ import annotations

import re

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # botocore's own: what happens below HTTP
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
)

FINE = 0
FINDINGS = 1
WRONG_USE = 2
NOT_REACHED = 3
MISTAKE = 4
INTERRUPTED = 130

EXIT_CODES = {
    FINE: "done; nothing was found that needs a person",
    FINDINGS: "something needs a person: an error was found, or a change was refused, or not everything could be done",
    WRONG_USE: "wrong use: an option, an argument, or something named that does not exist",
    NOT_REACHED: "AWS or the engine cannot be reached, or does not allow it",
    MISTAKE: "a mistake in this program",
    INTERRUPTED: "interrupted by Ctrl-C",
}
"""The exit codes of every command, as its help lists them."""

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_INVALID = {
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "InvalidSignatureException",
    "AuthFailure",
    "IncompleteSignature",
    "MissingAuthenticationToken",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "AuthorizationError", "403"}
_ABSENT = re.compile(r"NoSuch|NonExistent|NotFound|DoesNotExist|^404$")


class Problem(Exception):  # noqa: N818  # it is shown to people under this name, and is not always an error of ours
    """Something that a person can act on: `what` went wrong, `remedy` is what to do, `code` is the exit code."""

    def __init__(self, what: str, remedy: str = "", *, code: int = WRONG_USE) -> None:
        self.what = what.rstrip(".")
        self.remedy = remedy
        self.code = code
        super().__init__(f"{self.what}. {remedy}" if remedy else self.what)


def explain_aws(error: BotoCoreError | ClientError, doing: str) -> Problem:
    """What botocore raised while `doing` ("reading the queue"), in words that say what to do.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html
    """
    if isinstance(error, ClientError):
        return _refused(error, doing)
    if isinstance(error, ProfileNotFound):
        return Problem(str(error), "List the profiles that there are: aws configure list-profiles.")
    if isinstance(error, NoRegionError):
        return Problem(f"{doing}: no region is set", "Give --region, or set AWS_REGION.")
    if isinstance(error, SSOError):
        return Problem(f"{doing}: {error}", "Sign in again: aws sso login.", code=NOT_REACHED)
    if isinstance(error, (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)):
        remedy = (
            "Give --profile, set AWS_PROFILE, or sign in (aws sso login). `aws sts get-caller-identity` shows whether it worked."
        )
        return Problem(f"{doing}: no AWS credentials ({error})", remedy, code=NOT_REACHED)
    if isinstance(error, (HTTPClientError, ConnectionError)):
        remedy = "Check the region's name, the network, and a proxy (HTTPS_PROXY) if there is one."
        return Problem(f"{doing}: AWS cannot be reached ({error})", remedy, code=NOT_REACHED)
    return Problem(f"{doing}: {error}", "Check the arguments of this command.")


def _refused(error: ClientError, doing: str) -> Problem:
    detail = error.response.get("Error", {})
    code, message = str(detail.get("Code", "")), str(detail.get("Message", ""))
    said = f"{doing}: {code}: {message}" if message else f"{doing}: {code}"
    if code in _EXPIRED:
        return Problem(
            said, "The credentials have expired: sign in again (aws sso login), or renew the session.", code=NOT_REACHED
        )
    if code in _INVALID:
        remedy = "The credentials are not valid: check AWS_PROFILE, AWS_ACCESS_KEY_ID and the clock of this machine."
        return Problem(said, remedy, code=NOT_REACHED)
    if code in _DENIED:
        remedy = f"Let the role that you use call {error.operation_name}, or use another one (--profile)."
        return Problem(said, remedy, code=NOT_REACHED)
    if _ABSENT.search(code) or "does not exist" in message:
        return Problem(said, "Check the name, and that --region and --profile are those where it is.")
    return Problem(said, "", code=NOT_REACHED)


def code_of(error: BaseException) -> str:
    """The code of a refusal by AWS (`NoSuchBucket`), or the name of the exception."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return type(error).__name__
