"""What happened between 3 and 20 November 2026: one function an object, in the order of the days.

The life of one web server, everyday refusals, a leaked key, and callers of every kind. `kinds` adds the records that
are not like the others.
"""

from __future__ import annotations

from .accounts import federated_callers, limits_in_development, root_tasks_in_members
from .data_events import data_events, enriched_events
from .records import Delivery
from .sign_ins import leaked_key_goes_on, leaked_key_probes, sign_ins
from .web_server import (
    instance_launched,
    instance_started_on_monday,
    instance_stopped_for_the_night,
    instance_terminated_by_a_stack,
    morning_after_the_launch,
    security_group_opened,
)


def all_deliveries() -> list[Delivery]:
    return [
        instance_launched(),
        morning_after_the_launch(),
        sign_ins(),
        security_group_opened(),
        instance_stopped_for_the_night(),
        instance_started_on_monday(),
        leaked_key_probes(),
        leaked_key_goes_on(),
        limits_in_development(),
        federated_callers(),
        root_tasks_in_members(),
        instance_terminated_by_a_stack(),
        data_events(),
        enriched_events(),
    ]
