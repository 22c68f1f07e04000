"""What an operator is told of a shared store, by flags and files."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from osint_events_server.scope import Scope
from osint_events_server.settings import Settings, SettingsError, load
from osint_events_server.store import Gap, Payload
from osint_events_server.store.jetstream import BrokerOptions, JetStreamStore, StreamOptions

from .conftest import brokers

KEYS = {"token_keys": "k" * 32}
NATS = {"store": "nats://127.0.0.1:4222", **KEYS}


def test_the_fallback_is_off_with_a_shared_store() -> None:
    assert load({}).has_fallback
    assert not load(NATS).has_fallback
    assert load({"fallback": "on"}).has_fallback


def test_several_servers_are_separated_by_commas_and_never_shown() -> None:
    settings = load({**NATS, "store": "nats://u:secret@a:1, tls://b"})
    assert settings.nats_servers == ("nats://u:secret@a:1", "tls://b")
    assert "secret" not in repr(settings)
    assert load({}).nats_servers == ()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"store": "redis://secret@x", **KEYS}, "--store: memory, nats://host:port or tls://host:port"),
        ({"store": "nats://secret@x:port", **KEYS}, "--store: memory, nats://host:port"),
        ({"store": "nats://", **KEYS}, "--store: memory, nats://host:port"),
        ({"store": "", **KEYS}, "--store: memory, nats://host:port"),
        ({"store": "nats://x"}, "--token-keys: nodes that share a store need the same key"),
        ({**NATS, "fallback": "on"}, "--fallback: on needs the memory store"),
        ({**NATS, "max_ingest_events": 1001}, "--max-ingest-events: NATS stores up to 1000 events together"),
        ({**NATS, "nats_stream": "a.b"}, "--nats-stream: String should match"),
        ({**NATS, "nats_credentials": "/none.creds"}, "--nats-credentials: there is no file /none.creds"),
    ],
)
def test_a_wrong_setting_is_said_with_what_to_do(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(given)
    assert str(raised.value).startswith(problem)
    assert "secret@" not in str(raised.value)


def test_a_shared_store_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(f'store = "nats://a"\ntoken_keys = ["{"k" * 32}"]\nnats_replicas = 3\n')
    settings: Settings = load({}, config=file)
    assert (settings.nats_servers, settings.nats_replicas) == (("nats://a",), 3)


async def run(code: str, *arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, "run", *arguments, stderr=PIPE)
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def test_a_missing_package_is_said_in_one_line() -> None:
    code = "import sys; sys.modules['nats'] = None; from osint_events_server.cli import main; main()"
    assert await run(code, "--store=nats://127.0.0.1:1", f"--token-keys={KEYS['token_keys']}") == (
        1,
        "Error: --store at NATS needs the package nats-py: pip install 'osint-events[server,nats]'\n",
    )


async def test_a_broker_that_is_not_there_is_said_in_one_line() -> None:
    code = "from osint_events_server.cli import main; main()"
    arguments = (
        "--store=nats://u:secret@127.0.0.1:1",
        "--nats-timeout=0.5",
        "--token-keys",
        KEYS["token_keys"],
    )
    assert await run(code, *arguments) == (
        1,
        "Error: cannot connect to NATS at nats://127.0.0.1:1: Connection refused; see --store\n",
    )


async def test_the_permissions_that_the_documentation_names_are_enough(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "operators" / "nats.md").read_text(encoding="utf-8")
    config = tmp_path / "nats.conf"
    config.write_text(page.partition("```conf\n")[2].partition("```")[0])
    with brokers.nats_server("-c", str(config)) as server:
        url = server.url.replace("://", "://osint:secret@")
        store = await JetStreamStore.open(BrokerOptions((url,), timeout=30), StreamOptions())
        try:
            follower = store.follow()
            events = [Payload(b"x" * 1000, Scope.TASKS)] * 1000
            appending = [
                asyncio.create_task(store.append("x", events, idempotency_key=str(n))) for n in range(20)
            ]
            received = 0
            async with asyncio.timeout(60):
                while received < 20_000:  # enough for the broker to ask whether there is room
                    due = await anext(follower)
                    assert not isinstance(due, Gap), due
                    received += len(due)
            await asyncio.gather(*appending)
            assert len(await store.read_after("x", 10_000, limit=20_000)) == 10_000
        finally:
            await store.close()
        # Changed settings, and a consumer that is deleted rather than left to age.
        again = await JetStreamStore.open(BrokerOptions((url,)), StreamOptions(seconds=100))
        await again.close()
