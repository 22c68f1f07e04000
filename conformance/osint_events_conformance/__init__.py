"""osint_events_conformance."""
