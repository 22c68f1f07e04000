"""A peer: socketify, Python on uWebSockets, with the topics that come with it."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import json
import resource
import socket
from typing import Any

from socketify import App, AppListenOptions, CompressOptions, OpCode
from subscribers import encode, say, update

_, files = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
app = App()


def message(ws: Any, text: Any, _opcode: Any) -> None:
    """Take a message."""
    content = json.loads(text)
    investigation_id = content["investigation_id"]
    if content["type"] == "subscribe_investigation":
        ws.subscribe(investigation_id)
        ws.send(encode({"type": "subscription_confirmed", "investigation_id": investigation_id}), OpCode.TEXT)
    elif content["type"] == "publish":
        app.publish(investigation_id, encode(update(content)), OpCode.TEXT)


app.ws(
    "/ws/*",
    {
        "compression": CompressOptions.DISABLED,
        "max_payload_length": 1 << 20,
        "max_backpressure": 1 << 28,
        "idle_timeout": 120,
        "message": message,
    },
)

# It says 0 where it was told to take a free port.
with socket.create_server(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]
app.listen(AppListenOptions(port=port, host="127.0.0.1"), lambda config: say(config.port))
app.run()
