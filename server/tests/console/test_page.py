"""The console in a real browser: what a user sees and does, with the keyboard too."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from osint_events_server import console
from osint_events_server.server import running
from osint_events_server.settings import Settings

if TYPE_CHECKING:
    from chromium import Page

    from .conftest import Publish, Wire

pytestmark = pytest.mark.browser

TASK = {"task_id": "t-1", "name": "domain_recon"}
STARTED = {"type": "task_started", **TASK}
HALF = {"type": "task_progress", **TASK, "progress": 0.5}
COMPLETED = {"type": "task_completed", **TASK}

CARD = "document.querySelector('[data-investigation=\"1234\"]')"
OPEN = "document.querySelector('#state').dataset.state === 'open'"


def percent(task: str) -> str:
    """The expression for what stands beside a task's progress bar."""
    return f"{CARD}?.querySelector('[data-task=\"{task}\"] .percent')?.textContent"


def text(selector: str) -> str:
    """The expression for all text of an element."""
    return f"(document.querySelector({json.dumps(selector)})?.textContent ?? '')"


async def subscribe(page: Page, investigation_id: str) -> None:
    """Subscribe as a user does, and wait until it is confirmed; the page connects by itself."""
    await page.evaluate("document.querySelector('#investigation').focus()")
    await page.type(investigation_id)
    await page.press("Enter")
    card = f'[data-investigation="{investigation_id}"] .state'
    await page.until(text(card) + " === 'subscribed'")


async def test_a_task_goes_to_100_percent(page: Page, server: str, publish: Publish) -> None:
    await page.open(f"http://{server}/")
    await subscribe(page, "1234")
    await publish("1234", {"type": "investigation_started"}, STARTED)
    await page.until(f"{percent('t-1')} === '0 %'")
    await publish("1234", HALF)
    await page.until(f"{percent('t-1')} === '50 %'")
    await publish("1234", {**HALF, "progress": 0.999})
    await page.until(f"{percent('t-1')} === '99 %'")
    await publish("1234", COMPLETED, {"type": "investigation_completed"})
    await page.until(f"{percent('t-1')} === '100 %'")
    await page.until(f"{CARD}.querySelector('.overall .is').textContent === 'completed'")
    assert await page.evaluate(f"{CARD}.querySelector('[data-task] progress').value") == 1


async def test_what_was_missed_while_the_connection_was_cut_is_resumed(
    page: Page, server: str, wire: Wire, publish: Publish
) -> None:
    await page.open(f"http://{wire.address}/")
    await subscribe(page, "1234")
    await publish("1234", STARTED)
    await page.until(f"{percent('t-1')} === '0 %'")
    wire.cut()
    await page.until(f"!({OPEN})")
    await publish("1234", HALF, COMPLETED)
    wire.target = server
    await page.until(f"{percent('t-1')} === '100 %'")
    assert "Resumed: 2 events that were missed are replayed." in await page.evaluate(f"{CARD}.textContent")
    assert not await page.evaluate(f"{CARD}.querySelector('.problem')")


async def test_a_click_drops_the_connection_and_resumes(page: Page, server: str, publish: Publish) -> None:
    await page.open(f"http://{server}/")
    await subscribe(page, "1234")
    await page.evaluate("document.querySelector('#drop').click()")
    await page.until(f"{CARD}.textContent.includes('Resumed: nothing was missed.')")
    await publish("1234", STARTED)
    await page.until(f"{percent('t-1')} === '0 %'")


@pytest.mark.parametrize(
    ("keys", "reason"), [((), "invalid"), (("k" * 32,), "epoch_changed")], ids=["random keys", "lasting keys"]
)
async def test_after_a_restart_it_is_said_that_the_history_is_gone(
    page: Page, wire: Wire, keys: tuple[str, ...], reason: str, http: aiohttp.ClientSession
) -> None:
    settings = Settings(port=0, console=True, token_keys=keys)
    async with running(settings) as url:
        wire.target = url.removeprefix("http://")
        await page.open(f"http://{wire.address}/")
        await subscribe(page, "1234")
        wire.cut()
    async with running(settings) as url:
        wire.target = url.removeprefix("http://")
        await page.until(f"{CARD}.querySelector('.problem')")
        said = await page.evaluate(f"{CARD}.querySelector('.problem').textContent")
        assert "The server started anew, and its history from before is gone." in said
        assert f"({reason})" in said
        async with http.post(f"{url}/investigations/1234/events", json=COMPLETED) as response:
            assert response.status == 202
        await page.until(f"{percent('t-1')} === '100 %'")
        wire.cut()


async def test_a_payload_that_no_publisher_should_write_is_shown_as_such(
    page: Page, server: str, http: aiohttp.ClientSession
) -> None:
    await page.open(f"http://{server}/")
    await subscribe(page, "1234")
    body = {"investigation_id": "1234", "data": {"event": "task_started", "progress": 2}}
    async with http.post(f"http://{server}/inject", json=body) as response:
        assert response.status == 202
    await page.until("document.querySelector('.row.problem')")
    await page.evaluate("document.querySelector('.row.problem').open = true")
    await page.until("document.querySelector('.row.problem .raw')")
    shown = await page.evaluate(text(".row.problem"))
    assert "invalid payload" in shown
    assert "task_started (by LEG-2)" in shown
    assert "valid against negotiated_investigation_update" in shown
    assert "/progress must be 1 at most (maximum)" in shown
    assert '"progress": 2' in shown


@asynccontextmanager
async def server_that_says(*messages: str | bytes) -> AsyncIterator[str]:
    """Serve the console, and a WebSocket that says these messages to whoever comes."""

    async def talk(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        for message in messages:
            await (ws.send_str(message) if isinstance(message, str) else ws.send_bytes(message))
        async for _ in ws:
            pass
        return ws

    app = web.Application()
    for route in console.routes(None):
        app.router.add_route(route.method, route.path, route.handler)
    app.router.add_get("/ws/{client_id}", talk)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


HOSTILE = "<img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script>"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            '{"type": "investigation_update", "investigation_id": 5, "data": {}}',
            "/investigation_id must be of",
        ),
        (
            '{"type": "investigation_update", "investigation_id": "x"}',
            'the whole must have "data" (required)',
        ),
        ('{"type": "subscription_confirmed"', "the whole must be JSON"),
        ('["type"]', "the whole must be an object (MSG-1)"),
        (b"{}", "the whole must be a text frame (MSG-1)"),
        ('{"type": 1}', "/type must be a string (MSG-1)"),
    ],
)
async def test_an_invalid_message_is_shown_as_such(page: Page, message: str | bytes, words: str) -> None:
    async with server_that_says(message) as url:
        await page.open(url)
        await page.evaluate("document.querySelector('#connect').click()")
        await page.until("document.querySelector('.row.problem')")
        await page.evaluate("document.querySelector('.row.problem').open = true")
        await page.until("document.querySelector('.row.problem dl')")
        shown = await page.evaluate(text(".row.problem"))
        assert "invalid" in shown
        assert words in shown
        assert "1 with problems" in await page.evaluate(text("#count"))
        # Such a message does nothing else.
        assert await page.evaluate("document.querySelector('article')") is None


async def test_hostile_text_stays_text_and_fits_a_phone(page: Page) -> None:
    hostile = HOSTILE + "x" * 400
    data = {"type": hostile, "name": hostile, "task_id": hostile, "message": hostile, "status": hostile}
    update = {"type": "investigation_update", "investigation_id": hostile[:255], "data": data}
    messages = (
        {"type": hostile},
        update,
        {"type": "welcome", "protocol": 1, "connection_id": hostile, "features": ["errors", hostile]},
        {"type": "error", "code": hostile, "message": hostile, "temporary": False},
    )
    async with server_that_says(*(json.dumps(message) for message in messages)) as url:
        await page.show(400)
        await page.open(url)
        await page.evaluate("document.querySelector('#connect').click()")
        await page.until("document.querySelectorAll('.row').length >= 5 && document.querySelector('.task')")
        await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        await page.until("document.querySelectorAll('.row .raw').length >= 5")
        assert await page.evaluate("window.hacked ?? null") is None
        assert await page.evaluate("document.querySelectorAll('main img, main script').length") == 0
        assert hostile in await page.evaluate(text("#messages"))
        await fits(page)


async def fits(page: Page) -> None:
    """The page needs no scrolling sideways, and nothing in it is cut off."""
    wide = """[...document.body.querySelectorAll("*")]
        .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
        .map((one) => one.outerHTML.slice(0, 80))"""
    assert await page.evaluate(wide) == []
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.evaluate(overflow) == 0


async def test_features_tokens_and_positions_are_visible(page: Page, server: str, publish: Publish) -> None:
    await page.open(f"http://{server}/")
    await subscribe(page, "1234")
    await publish("1234", STARTED)
    await page.until(f"{percent('t-1')} === '0 %'")
    granted = await page.evaluate(
        "[...document.querySelectorAll('#features label')].map((one) => one.innerText)"
    )
    assert [one.split() for one in granted] == [
        [name, "✓", "granted"] for name in ("heartbeat", "replay", "scopes", "flow", "unsubscribe", "errors")
    ]
    assert "max_replay_events" in await page.evaluate(text("#welcome"))
    position = await page.evaluate(
        f"[...{CARD}.querySelectorAll('details code')].map((one) => one.textContent)"
    )
    seq, epoch, token = position
    assert seq == "1"
    assert "none" not in (epoch, token)


async def test_without_capabilities_it_is_a_client_of_part_1(
    page: Page, wire: Wire, server: str, publish: Publish
) -> None:
    await page.open(f"http://{wire.address}/")
    await page.evaluate("document.querySelectorAll('#features input').forEach((one) => one.click())")
    await subscribe(page, "1234")
    assert '"hello"' not in await page.evaluate(text("#messages"))
    await publish("1234", STARTED)
    await page.until(f"{percent('t-1')} === '0 %'")
    wire.cut()
    await page.until(f"!({OPEN})")
    wire.target = server
    await page.until(f"{CARD}.querySelector('.problem')")
    assert "the server replays nothing" in await page.evaluate(f"{CARD}.textContent")


async def test_an_unsubscribed_investigation_is_silent_and_can_be_had_again(
    page: Page, server: str, publish: Publish
) -> None:
    await page.open(f"http://{server}/")
    await subscribe(page, "1234")
    await page.evaluate(f"{CARD}.querySelector('[aria-label=\"Unsubscribe 1234\"]').click()")
    await page.until(
        "[...document.querySelectorAll('.what')].some((one) => one.textContent === 'unsubscribed')"
    )
    await publish("1234", STARTED)
    await page.evaluate(f"{CARD}.querySelector('[aria-label=\"Subscribe 1234\"]').click()")
    await page.until(f"{CARD}.querySelector('.state').textContent === 'subscribed'")
    await publish("1234", {**STARTED, "task_id": "t-2"})
    await page.until(f"{percent('t-2')} === '0 %'")
    assert await page.evaluate(percent("t-1")) is None


async def test_all_can_be_done_with_the_keyboard(page: Page, server: str, publish: Publish) -> None:
    await page.open(f"http://{server}/")
    reached: list[str] = []

    async def tab_to(wanted: str) -> None:
        for _ in range(40):
            await page.press("Tab")
            here = "(document.activeElement.id || document.activeElement.textContent)"
            reached.append(await page.evaluate(here))
            if reached[-1] == wanted:
                return
        raise AssertionError(reached)

    await tab_to("connect")
    await page.press("Enter")
    await page.until(OPEN)
    await tab_to("investigation")
    await page.type("1234")
    await page.press("Enter")
    await page.until(f"{CARD}?.querySelector('.state').textContent === 'subscribed'")
    await publish("1234", STARTED)
    await page.until(f"{percent('t-1')} === '0 %'")
    await tab_to("Position and token")
    await page.press("Enter")
    await page.until(f"{CARD}.querySelector('details').open")
    await tab_to("pause")
    await page.press("Space")
    await tab_to("messages")
    await page.press("Tab")
    await page.press("Enter")
    await page.until("document.querySelector('.row').open && document.querySelector('.row .raw')")


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_it_fits_the_width_and_can_be_read(
    page: Page, server: str, publish: Publish, width: int, *, dark: bool
) -> None:
    await page.show(width, dark=dark)
    await page.open(f"http://{server}/")
    await subscribe(page, "1234")
    await publish("1234", STARTED, {"type": "task_failed", "task_id": "t-2", "message": "no answer"})
    await page.until(f"{CARD}.querySelector('[data-task=\"t-2\"]')")
    await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    await page.until("document.querySelector('.row .raw')")
    await fits(page)
    assert await page.evaluate(WEAK_CONTRASTS) == []
    ground = await page.evaluate(f"({LUMINANCE})(getComputedStyle(document.body).backgroundColor)")
    assert (ground < 0.2) == dark


LUMINANCE = """(colour) => {
    const [red, green, blue] = colour.match(/[0-9.]+/g).slice(0, 3).map((one) => one / 255)
        .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}"""

# What is below the contrast of 4.5 that WCAG 2.2 asks of text (1.4.3), disabled controls excepted.
WEAK_CONTRASTS = f"""(() => {{
    const luminance = {LUMINANCE};
    const ground = (one) => {{
        const own = getComputedStyle(one).backgroundColor;
        return own === "rgba(0, 0, 0, 0)" ? ground(one.parentElement) : own;
    }};
    const weak = [];
    for (const one of document.body.querySelectorAll("*:not(:disabled)")) {{
        const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!own || !one.getClientRects().length) continue;
        const [dim, bright] = [getComputedStyle(one).color, ground(one)].map(luminance).sort((a, b) => a - b);
        if ((bright + 0.05) / (dim + 0.05) < 4.5) weak.push(one.outerHTML.slice(0, 80));
    }}
    return weak;
}})()"""


async def test_a_click_simulates_an_investigation_where_the_demo_runs(page: Page, settings: Settings) -> None:
    async with running(settings, simulate=True) as url:
        await page.open(url)
        # The one that goes on by itself is there without a click.
        await page.until("document.querySelector('[data-investigation=\"demo\"] [data-task]')")
        await page.evaluate("document.querySelector('#simulate').click()")
        await page.until("document.querySelector('[data-investigation^=\"demo-\"] [data-task]')")
        await page.until(text('[data-investigation^="demo-"] .overall .is') + " === 'running'")
        assert await page.evaluate("document.querySelector('#simulation').hidden")
        assert await page.evaluate("document.querySelector('.row.problem')") is None


async def test_nothing_is_simulated_where_no_demo_runs(page: Page, server: str) -> None:
    await page.open(f"http://{server}/")
    await page.until(text("#state") + " === 'not connected'")
    assert await page.evaluate("document.querySelector('#simulate').hidden")
    answer = await page.evaluate("fetch('/console/simulations', {method: 'POST'}).then((one) => one.status)")
    assert answer == 404
    page.problems.clear()  # the browser notes a 404 as an error
