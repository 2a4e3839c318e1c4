"""Alert rules on single CloudTrail records: what a condition says, and which rules a record meets."""
