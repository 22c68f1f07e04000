"""The reference server: events come in over HTTP and go out to subscribers over WebSocket.

`session`, `hub`, `outbox`, `forms`, `frames`, `deflate`, `replay`, `tokens`, `positions`, `scope`,
`heartbeat`, `throttle`, `jsontext` and `ingest` are free of I/O; `store` keeps the events; `connection`,
`writer`, `liveness` and `app` are the thin shell of aiohttp around them; `cli` starts it.
"""
