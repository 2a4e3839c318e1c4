"""The proof that nothing is missing: CloudTrail's digest files, the log files that they list, and where each record ended."""
