"""Every test of the bounds of `who` and `why` once more on a real OpenSearch node."""

from __future__ import annotations

from tests.unit import test_questions_bounds
from tests.unit.test_questions_bounds import bounds, engine

__all__ = ["bounds", "engine"]

# By their own names, so that a test that is added there runs here without another word.
globals().update({name: each for name, each in vars(test_questions_bounds).items() if name.startswith("test_")})
