"""What `--to-queue` sends, taken by the function before a real node."""

from __future__ import annotations

from tests.unit.test_cli_to_queue import (
    aws,
    server,
    test_a_repair_is_left_to_the_functions,
    test_the_function_takes_what_was_sent,
)

__all__ = ["aws", "server", "test_a_repair_is_left_to_the_functions", "test_the_function_takes_what_was_sent"]
