"""osint_events."""
