"""The domain that documents go to: what it has to hold, and putting that in place."""
