"""One worker per channel: its transport, its limits, its state."""
