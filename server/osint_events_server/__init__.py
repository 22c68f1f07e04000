"""osint_events_server."""
