"""All calls of the made-up account: what each changes, and its record as CloudTrail writes it.

Names where an API takes names, ids that only the answer has, answers that are null, parameters that are hidden or missing.
"""

from benchmarks.causes_ec2 import Ec2
from benchmarks.causes_iam import Iam
from benchmarks.causes_records import Caller, Done
from benchmarks.causes_services import Services

__all__ = ["Caller", "Calls", "Done"]


class Calls(Ec2, Iam, Services):
    """Makes calls of an account; each method takes the resource and gives what the call does."""
