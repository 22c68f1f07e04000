"""Tokens stay with the runner: whatever a server does with them, no report, trace or line shows one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osint_events_conformance.credentials import Credentials
from osint_events_conformance.faulty.capable.guarded import (
    FORBIDDEN_ID,
    TOKEN,
    TRIGGER_TOKEN,
    GuardedServer,
)
from osint_events_conformance.faulty.jsontext import dump
from osint_events_conformance.faulty.listener import HttpConnection
from osint_events_conformance.faulty.running import RunningServer
from osint_events_conformance.launch import execute, write_files
from osint_events_conformance.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from osint_events_conformance.faulty.peer import Peer
    from osint_events_conformance.faulty.server import Reply
    from osint_events_conformance.progress import Event

SECRETS = Credentials(TOKEN, TRIGGER_TOKEN).secrets


class EchoesTokens(GuardedServer):
    """Says every token that it gets, good or bad, to whoever is there."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = ""

    def handshake(self, client_id: str, headers: Mapping[str, str]) -> Reply | None:
        self.heard = headers.get("Authorization", "")
        super().handshake(client_id, headers)  # and let it in whatever comes of that
        return None

    def opened(self, peer: Peer) -> None:
        super().opened(peer)
        if self.heard:
            peer.send(dump({"type": self.heard, "token": self.heard}))

    def turn_away(self, peer: Peer, hello: dict[str, Any] | None) -> None:
        auth = (hello or {}).get("auth")
        if not auth or not isinstance(auth.get("token"), str):
            super().turn_away(peer, hello)
            return
        peer.send(dump({"type": "told", "auth": auth}))
        peer.close(1008, json.dumps(auth)[:100])


async def test_a_server_that_echoes_tokens_puts_none_into_a_file_or_a_line(tmp_path: Path) -> None:
    told: list[Event] = []
    server = EchoesTokens()
    listener = await asyncio.get_running_loop().create_server(lambda: HttpConnection(server), "127.0.0.1", 0)
    async with RunningServer(server, listener) as running:
        settings = Settings(
            url=running.ws_url, inject=running.inject_url, seed=7, examples=0, only=("SEC-1", "SUB-4"),
            token=TOKEN, trigger_token=TRIGGER_TOKEN, forbidden_id=FORBIDDEN_ID, trace=tmp_path / "traces",
            report_json=tmp_path / "r.json", report_junit=tmp_path / "r.xml", report_html=tmp_path / "r.html",
        )  # fmt: skip
        result = await execute(settings, told.append)
    write_files(result, settings)
    findings = [finding for clause in result.clauses for finding in clause.findings]
    assert {finding.clause for finding in findings} == {"SEC-1"}
    assert any("(redacted)" in entry.text for finding in findings for entry in finding.wire)  # it was echoed
    written = _texts(tmp_path)
    assert len(written) >= 4
    shown = "\n".join([*written, *map(repr, told), repr(result)])
    assert [secret for secret in SECRETS if secret in shown] == []


def _texts(folder: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()]
