"""AWS Config: messages and objects become items, items become versions, latest states and changes."""
