"""The calls that caused a change which AWS Config recorded: which, how sure, and why. Pure; storing the links is `linking`."""
