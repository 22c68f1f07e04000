"""The reference server: events come in over HTTP and go out to subscribers over WebSocket.

`session`, `hub`, `outbox`, `frames`, `throttle`, `jsontext` and `ingest` are free of I/O; `store` keeps the
events; `connection` and `app` are the thin shell of aiohttp around them; `cli` starts it.
"""
