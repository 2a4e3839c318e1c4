"""What the person at the terminal asked for, and the errors that are told to them in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class DemoError(Exception):
    """Something that the reader can mend: what is wrong, and what to do about it."""

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem = problem
        self.hint = hint
        super().__init__(f"{problem} {hint}".strip())


@dataclass(frozen=True, slots=True)
class Options:
    """KEEP, OUTPUT, FILES, CONFIG_FILES and OPENSEARCH_ENDPOINT; `called_from` is where `make` was called, or an empty text."""

    keep: bool
    json: bool
    files: str
    config_files: str
    endpoint: str
    called_from: str

    @property
    def trail(self) -> bool:
        """Whether CloudTrail is shown: with files for AWS Config alone it is not."""
        return bool(self.files) or not self.config_files

    @property
    def config(self) -> bool:
        """Whether AWS Config is shown: with files for CloudTrail alone it is not."""
        return bool(self.config_files) or not self.files

    @property
    def samples(self) -> bool:
        """Whether all that is shown are the samples, which the story is about."""
        return not self.files and not self.config_files

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Options:
        """Raises DemoError."""
        return cls(
            keep=_yes(environ, "KEEP"),
            json=_choice(environ, "OUTPUT", ("text", "json")) == "json",
            files=environ.get("FILES", "").strip(),
            config_files=environ.get("CONFIG_FILES", "").strip(),
            endpoint=environ.get("OPENSEARCH_ENDPOINT", "").strip(),
            called_from=environ.get("CALLED_FROM", "").strip(),
        )


def _yes(environ: Mapping[str, str], name: str) -> bool:
    return _choice(environ, name, ("", "0", "no", "false", "1", "yes", "true")) in ("1", "yes", "true")


def _choice(environ: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = environ.get(name, "").strip().lower() or choices[0]
    if value not in choices:
        allowed = ", ".join(choice for choice in choices if choice)
        raise DemoError(f"{name} is {value!r}, which means nothing here.", f"It can be one of: {allowed}.")
    return value
