"""SIGTERM, SIGHUP and what clients see of them: drain, TLS, and two nodes under load."""

import asyncio
import contextlib
import json
import signal
import ssl
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from osint_events_server.drain import spread
from osint_events_server.server import Control, running
from osint_events_server.settings import Settings
from osint_events_server.store.memory import MemoryStore
from osint_events_server.tls import Tls, TlsError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

COMMAND = str(Path(sys.executable).parent / "osint-events-server")
HELLO = json.dumps({"type": "hello", "protocol": 1, "features": ["replay"]})


class TestSpread:
    """Ending connections over a time, without one."""

    @pytest.mark.parametrize(("count", "seconds"), [(1, 1.0), (3, 1.0), (100, 10.0), (10_000, 5.0)])
    async def test_they_end_evenly_and_all_in_time(self, count: int, seconds: float) -> None:
        now, ended_at = 0.0, []

        async def sleep(seconds: float) -> bool:
            nonlocal now
            now += seconds
            return True

        await spread(
            range(count), lambda _: ended_at.append(now), seconds=seconds, clock=lambda: now, sleep=sleep
        )
        assert len(ended_at) == count
        assert ended_at[0] == 0
        assert ended_at[-1] <= seconds + 0.06
        half = sum(at <= seconds / 2 for at in ended_at)
        assert abs(half - count / 2) <= count * 0.02 + 1

    async def test_it_can_be_cut_short(self) -> None:
        async def sleep(_: float) -> bool:
            return False

        ended: list[int] = []
        await spread(range(100), ended.append, seconds=10, clock=lambda: 0.0, sleep=sleep)
        assert ended == [0]


@asynccontextmanager
async def command(*flags: str) -> AsyncIterator[tuple[Process, str]]:
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "run", "--port", "0", *flags), stdout=PIPE, stderr=DEVNULL
    )
    try:
        assert process.stdout is not None
        yield process, (await process.stdout.readline()).decode().split("://")[1].strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def code_of(ws: ClientConnection) -> int:
    async with asyncio.timeout(20):
        await ws.wait_closed()
    assert ws.close_code is not None
    return ws.close_code


async def test_sigterm_drains_and_refuses_new_connections_meanwhile() -> None:
    async with (
        command("--drain-time", "2") as (process, server),
        contextlib.AsyncExitStack() as stack,
        aiohttp.ClientSession() as http,
        asyncio.timeout(30),
    ):
        url = f"ws://{server}/ws/a"
        clients = [await stack.enter_async_context(connect(url)) for _ in range(4)]
        process.terminate()
        assert await code_of(clients[0]) == 1012
        async with http.get(f"http://{server}/readyz") as response:
            assert (response.status, await response.json()) == (503, {"status": "draining"})
        async with http.get(f"http://{server}/healthz") as response:
            assert response.status == HTTPStatus.OK
        with pytest.raises(InvalidStatus) as refused:
            await connect(url)
        assert refused.value.response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert clients[3].close_code is None  # its turn is later
        assert [await code_of(client) for client in clients] == [1012] * 4
        assert await process.wait() == 0


async def test_a_second_signal_cuts_the_drain_short() -> None:
    async with command("--drain-time", "600") as (process, server), asyncio.timeout(30):
        async with connect(f"ws://{server}/ws/a") as one, connect(f"ws://{server}/ws/b") as two:
            process.terminate()
            assert await code_of(one) == 1012
            process.send_signal(signal.SIGINT)
            assert await code_of(two) == 1001
        assert await process.wait() == 0


class Resuming:
    """A client that comes back to whichever node takes it, and keeps what it received."""

    def __init__(self, urls: list[str]) -> None:
        self.urls = urls
        self.token: str | None = None
        self.received: list[int] = []
        self.ready = asyncio.Event()

    async def run(self, until: int) -> None:
        attempt = 0
        while not self.received or self.received[-1] != until:
            try:
                async with connect(self.urls[attempt % len(self.urls)]) as ws:
                    await self.listen(ws, until)
            except (ConnectionClosed, InvalidStatus, OSError):
                attempt += 1

    async def listen(self, ws: ClientConnection, until: int) -> None:
        subscribe = {"type": "subscribe_investigation", "investigation_id": "x", "replay_token": self.token}
        if self.token is None:
            del subscribe["replay_token"]
        await ws.send(HELLO)
        await ws.send(json.dumps(subscribe))
        async for text in ws:
            message: dict[str, Any] = json.loads(text)
            if "token" not in message:  # the welcome, and broadcasts that were quicker than the hello
                continue
            self.token = message["token"]
            self.ready.set()
            if message["type"] == "investigation_update":
                self.received.append(message["data"]["n"])
                if message["data"]["n"] == until:
                    return
            elif message["type"] == "subscription_confirmed":
                assert message.get("replay", {}).get("status") != "failed", message


async def test_of_two_nodes_under_load_one_drains_and_nobody_misses_an_event() -> None:
    """They share a store, and the keys of the tokens."""
    loop = asyncio.get_running_loop()
    store = MemoryStore(epoch="e", clock=loop.time)
    settings = Settings(port=0, drain_time=0.5, token_keys=("k" * 32,), max_replay_events=100_000)
    last, drained = 1500, asyncio.Event()
    async with running(settings, store=store) as staying, aiohttp.ClientSession() as http:
        nodes = contextlib.AsyncExitStack()
        leaving = await nodes.enter_async_context(running(settings, store=store))
        urls = [f"{url.replace('http', 'ws')}/ws/c" for url in (leaving, staying)]
        clients = [Resuming(urls) for _ in range(20)]

        async def publish() -> None:
            for number in range(last + 1):
                # The last one comes once the node is gone, so that all were driven away before.
                if number == last:
                    await drained.wait()
                url = f"{staying}/investigations/x/events"
                async with http.post(url, json={"n": number}) as response:
                    assert response.status == HTTPStatus.ACCEPTED

        async def leave() -> None:
            await nodes.aclose()
            drained.set()

        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(client.run(last))
            for client in clients:
                await client.ready.wait()
            tasks.create_task(publish())
            tasks.create_task(leave())
    for client in clients:
        assert client.received == list(range(last + 1))


def certificate(path: Path, name: str, *, days: int = 1) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))


async def shown(server: str) -> str:
    """The common name of the certificate that a server shows now, through an echo of its messages."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with connect(f"wss://{server}/ws/a", ssl=context) as ws:
        await ws.send(json.dumps({"type": "subscribe_investigation", "investigation_id": "x"}))
        assert "subscription_confirmed" in str(await ws.recv())
        der = ws.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    name = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(name[0].value)


async def test_a_certificate_is_replaced_while_the_server_runs_and_a_bad_one_is_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, control = tmp_path / "server.pem", Control()
    certificate(path, "old")

    async def reload() -> None:
        caplog.clear()
        control.reload.set()
        async with asyncio.timeout(10):
            while not caplog.records:  # noqa: ASYNC110 - the log alone says it is done
                await asyncio.sleep(0.01)

    caplog.set_level("INFO", "osint_events_server.server")
    async with running(Settings(port=0, tls_cert=path), control=control) as url:
        assert url.startswith("https://")
        server = url.removeprefix("https://")
        assert await shown(server) == "old"
        certificate(path, "new")
        assert await shown(server) == "old"
        await reload()
        assert await shown(server) == "new"
        path.write_bytes(b"junk")
        await reload()
        assert "not read again" in caplog.text
        assert await shown(server) == "new"


@pytest.mark.parametrize("content", [None, b"", b"junk"])
def test_files_that_cannot_be_used_are_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "server.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TlsError) as wrong:
        Tls(path, None)
    assert str(wrong.value).startswith(f"{path}: ")
    assert "\n" not in str(wrong.value)


async def test_who_speaks_no_tls_is_not_served(tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    certificate(path, "x")
    async with running(Settings(port=0, tls_cert=path)) as url:
        with pytest.raises(Exception, match=r".*"):
            await connect(f"ws://{url.removeprefix('https://')}/ws/a", open_timeout=5)


async def test_sighup_reads_keys_again_and_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    certificate(path, "old")
    async with command("--tls-cert", str(path)) as (process, server), asyncio.timeout(30):
        assert await shown(server) == "old"
        certificate(path, "new")
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while await shown(server) != "new":
            assert time.monotonic() < deadline
        process.terminate()
        assert await process.wait() == 0


async def test_over_tls_a_close_frame_arrives_as_without_it(tmp_path: Path) -> None:
    """Of a binary message, which the server closes itself, and of a broken frame, which aiohttp does."""
    path = tmp_path / "server.pem"
    certificate(path, "x")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    async with running(Settings(port=0, tls_cert=path, close_timeout=1)) as url:
        address = url.removeprefix("https://127.0.0.1")
        for sent, code in ((b"binary", 1003), (None, 1002)):
            async with connect(f"wss://localhost{address}/ws/a", ssl=context) as ws:
                if sent is None:
                    ws.transport.write(b"\x83\x80\0\0\0\0")  # a reserved opcode (RFC 6455, section 5.2)
                else:
                    await ws.send(sent)
                assert await code_of(ws) == code
