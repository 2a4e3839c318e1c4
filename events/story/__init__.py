"""The made-up accounts, people and calls behind the sample objects and payloads of `events/`."""
