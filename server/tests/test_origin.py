"""Which pages may connect: SEC-3, and what proxies say."""

from http import HTTPStatus

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request
from osint_events_server.origin import Origins
from osint_events_server.peer import Peer, Proxies
from osint_events_server.settings import Settings
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin


def allow(origin: str, host: str, *, scheme: str = "http", **options: object) -> bool:
    given = {"allowed": (), "hosts": (), "listening_on": "0.0.0.0"} | options  # noqa: S104 - nothing listens
    return Origins(**given).allow(origin, Peer("192.0.2.1", scheme, host))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "expected"),
    [
        ("http://a.example:8000", "a.example:8000", "http", True),
        ("http://a.example", "a.example", "http", True),
        ("http://a.example", "a.example:80", "http", True),
        ("http://a.example", "A.Example", "http", True),
        ("https://a.example", "a.example:443", "https", True),
        ("http://[::1]:8000", "[::1]:8000", "http", True),
        ("http://[::1]", "[::1]", "http", True),
        ("https://a.example", "a.example", "http", False),  # another scheme
        ("http://a.example", "a.example", "https", False),
        ("http://a.example:8001", "a.example:8000", "http", False),  # another port
        ("http://a.example", "a.example:8000", "http", False),
        ("http://a.example:8000", "a.example", "http", False),
        ("http://a.example:80", "a.example", "http", False),  # no browser writes it so
        ("http://xa.example", "a.example", "http", False),  # the name is a part of another
        ("http://a.example.evil.example", "a.example", "http", False),
        ("http://evil.example/a.example", "a.example", "http", False),
        ("http://a.example@evil.example", "a.example", "http", False),
        ("http://a.exampl", "a.example", "http", False),
        ("http://a.example/", "a.example", "http", False),
        ("HTTP://a.example", "a.example", "http", False),
        ("http://A.example", "a.example", "http", False),
        ("http://a.example ", "a.example", "http", False),
        ("null", "a.example", "http", False),
        ("null", "null", "http", False),
        ("", "a.example", "http", False),
        ("a.example", "a.example", "http", False),
        ("http://", "", "http", False),
        ("file://", "a.example", "http", False),
    ],
)
def test_the_servers_own_origin_is_matched_exactly(
    origin: str, host: str, scheme: str, expected: bool
) -> None:
    assert allow(origin, host, scheme=scheme) is expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://b.example", True),
        ("https://b.example:8443", False),
        ("http://b.example", False),
        ("https://sub.b.example", False),
        ("https://b.example.evil.example", False),
        ("https://B.example", False),
        ("null", False),
    ],
)
def test_an_allowed_origin_is_matched_exactly(origin: str, expected: bool) -> None:
    assert allow(origin, "a.example", allowed=("https://b.example",)) is expected


@pytest.mark.parametrize(
    ("host", "listening_on", "hosts", "expected"),
    [
        ("evil.example:8000", "127.0.0.1", (), False),  # made to point here: DNS rebinding
        ("evil.example:8000", "::1", (), False),
        ("evil.example:8000", "localhost", (), False),
        ("127.0.0.1:8000", "127.0.0.1", (), True),
        ("localhost:8000", "127.0.0.1", (), True),
        ("[::1]:8000", "127.0.0.1", (), True),
        ("localhost.evil.example:8000", "127.0.0.1", (), False),
        ("127.0.0.1.evil.example:8000", "127.0.0.1", (), False),
        ("a.example:8000", "127.0.0.1", ("a.example",), True),
        ("a.example:8000", "127.0.0.1", ("A.example",), True),
        ("evil.example:8000", "0.0.0.0", (), True),  # noqa: S104 - nothing listens
        ("evil.example:8000", "0.0.0.0", ("a.example",), False),  # noqa: S104 - nothing listens
        ("a.example:8000", "a.example", ("b.example",), True),
    ],
)
def test_a_name_counts_as_the_servers_own_only_where_it_may_be(
    host: str, listening_on: str, hosts: tuple[str, ...], expected: bool
) -> None:
    assert allow(f"http://{host}", host, hosts=hosts, listening_on=listening_on) is expected


def peer(remote: str, headers: list[tuple[str, str]], *trusted: str) -> Peer:
    request = make_mocked_request("GET", "/", headers=[("Host", "own.example"), *headers])
    return Proxies(trusted).peer(request.clone(remote=remote))


def test_nobody_is_believed_who_is_not_trusted() -> None:
    headers = [
        ("X-Forwarded-For", "198.51.100.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
    ]
    expected = Peer("192.0.2.1", "http", "own.example")
    assert peer("192.0.2.1", headers) == expected
    assert peer("192.0.2.1", headers, "10.0.0.0/8") == expected


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        (["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # the client wrote the first
        (["6.6.6.6", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        (["6.6.6.6, junk, 10.0.0.2"], "10.0.0.2"),
        (["[2001:db8::1]"], "2001:db8::1"),
        (["::ffff:198.51.100.1"], "198.51.100.1"),
        ([], "10.0.0.1"),
        ([""], "10.0.0.1"),
    ],
)
def test_a_trusted_proxys_last_foreign_address_counts(forwarded: list[str], address: str) -> None:
    headers = [("X-Forwarded-For", line) for line in forwarded]
    assert peer("10.0.0.1", headers, "10.0.0.0/8").address == address


def test_a_trusted_proxy_says_by_which_scheme_and_name_it_was_asked() -> None:
    headers = [("X-Forwarded-Proto", "http, https"), ("X-Forwarded-Host", "evil.example, public.example")]
    assert peer("::ffff:10.0.0.1", headers, "10.0.0.1") == Peer("10.0.0.1", "https", "public.example")


@pytest.mark.parametrize(
    ("origin", "is_let_in"), [(None, True), ("null", False), ("http://evil.example", False)]
)
async def test_a_foreign_page_is_refused_everywhere_and_no_origin_is_none(
    server: str, http: aiohttp.ClientSession, origin: str | None, is_let_in: bool
) -> None:
    given = None if origin is None else Origin(origin)
    if is_let_in:
        async with connect(f"ws://{server}/ws/a", origin=given):
            pass
        return
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://{server}/ws/a", origin=given)
    assert refused.value.response.status_code == HTTPStatus.FORBIDDEN
    assert origin is not None
    for method, path in (("POST", "/inject"), ("POST", "/investigations/x/events"), ("GET", "/metrics")):
        async with http.request(method, f"http://{server}{path}", headers={"Origin": origin}) as response:
            assert response.status == HTTPStatus.FORBIDDEN


class TestBehindAProxy:
    """A server whose proxy ends TLS."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(port=0, trusted_proxies=("127.0.0.1",), allowed_hosts=("public.example",))

    @pytest.mark.parametrize(
        ("origin", "is_let_in"), [("https://public.example", True), ("http://public.example", False)]
    )
    async def test_the_public_origin_is_the_servers_own(
        self, server: str, origin: str, is_let_in: bool
    ) -> None:
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "public.example"}
        if is_let_in:
            async with connect(f"ws://{server}/ws/a", origin=Origin(origin), additional_headers=headers):
                pass
        else:
            with pytest.raises(InvalidStatus):
                await connect(f"ws://{server}/ws/a", origin=Origin(origin), additional_headers=headers)
