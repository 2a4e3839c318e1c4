"""Every error of this package, on one axis: can a retry help?

AuditSearchError
├── SettingsError          the environment is wrong; nothing was read; lists every problem at once
├── UnknownEnvelopeError   a message of no known shape; its message returns to the queue
├── ObjectError            one object could not be read to its end; `code` and `retryable` say which way it goes
├── IndexTemplateError     the engine lacks our index template, or has an older one; nothing is written
├── DomainSetupError       the domain cannot be set up; says who was refused what, by which layer, and what to do; `retryable`
├── EngineUnreachableError no answer from the engine: connection, TLS, time-out; a retry can help
├── ReturnedError          a direct event (no queue) could not be finished; raised so that Lambda retries it
└── AccountingError        records went missing between two steps: a bug, never the data's fault
"""

from __future__ import annotations

from collections.abc import Iterable


class AuditSearchError(Exception):
    """What every error of this package is."""


class SettingsError(AuditSearchError):
    """The environment does not make valid settings; `problems` lists all of them."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("The settings are not valid:\n" + "\n".join(f"  - {problem}" for problem in self.problems))


class UnknownEnvelopeError(AuditSearchError):
    """A message whose shape is none of the known ones; the text shows its top-level keys."""


class ObjectError(AuditSearchError):
    """An object that could not be read to its end.

    `code` is one of `objects.OUTCOMES`; what was read before the error keeps its own outcomes.
    """

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code}: {reason}")


class IndexTemplateError(AuditSearchError):
    """The index template is absent or older than this version's: a write would create a dynamic index for good."""


class DomainSetupError(AuditSearchError):
    """The domain cannot be set up as asked; the text is for the person who has to act on it.

    `settling` marks a refusal by IAM, which new permissions take a minute or two to end.
    """

    def __init__(self, reason: str, *, retryable: bool = False, settling: bool = False) -> None:
        self.retryable = retryable
        self.settling = settling
        super().__init__(reason)


class EngineUnreachableError(AuditSearchError):
    """The engine gave no answer; the text names its address and the cause."""


class ReturnedError(AuditSearchError):
    """A direct event could not be finished now; Lambda's own retries (and its failure destination) take it from here."""


class AccountingError(AuditSearchError):
    """`read = indexed + duplicates + filtered + quarantined + returned` does not hold."""
