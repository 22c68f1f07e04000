"""The language in which checks say what to do: a script is a list of steps over named connections.

Scripts are data. The runner executes them (`execute`), a model judges what came back (`model`),
a failing one is reduced to the steps that it needs (`reduce`) and written to a file that can be
run again (`replay`). Checks, drawn cases and the state machine all make scripts and nothing else.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, ClassVar, Literal, cast

from websockets.extensions import Extension
from websockets.frames import Frame, Opcode

from osint_events_conformance.credentials import Auth


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a connection. `receive_buffer` in bytes, for readers that will stall.

    `compress` offers permessage-deflate (CMP-1); what is sent is compressed if that is agreed on.
    """

    kind: ClassVar[str] = "connect"
    conn: str
    client_id: str
    receive_buffer: int | None = None
    optional: bool = False
    """Whether a refusal is only a SHOULD broken (client ids beyond the guaranteed alphabet)."""
    compress: bool = False
    auth: Auth = "own"
    """Which token goes with the handshake. Without one (`none`) nothing may be sent until a hello has one."""


@dataclass(frozen=True, slots=True)
class Knock:
    """Shake hands in a way that must be refused with `status` (SEC-1, SEC-3).

    `origin` replaces the run's own. Nothing follows on the connection.
    """

    kind: ClassVar[str] = "knock"
    conn: str
    client_id: str
    status: int
    auth: Auth = "own"
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Say something without having authenticated, or nothing: the connection must end with `code` (SEC-1).

    `{token}` in `text` stands for the token that `auth` says. It is waited `seconds`, or as long as for any
    answer.
    """

    kind: ClassVar[str] = "turned_away"
    conn: str
    text: str | None
    code: int
    auth: Auth = "none"
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Send a valid subscribe message and, if `wait`, wait for its confirmation.

    `text` is sent as it stands where the spelling matters (white space, escapes, unknown fields).
    """

    kind: ClassVar[str] = "subscribe"
    conn: str
    investigation_id: str
    text: str | None = None
    wait: bool = True

    def payload(self) -> bytes:
        """The message's UTF-8 bytes."""
        return (self.text if self.text is not None else subscribe_text(self.investigation_id)).encode()


@dataclass(frozen=True, slots=True)
class Say:
    """Send any other data message, and expect nothing of it but that it does no harm.

    `role`: `unknown` is well-formed and of unknown type (ROB-3: tolerated); `malformed` may be
    ignored, answered or end the connection (ROB-2). `clause` says what a confirmation or an
    illegal reaction breaks.
    """

    kind: ClassVar[str] = "say"
    conn: str
    data: bytes
    role: Literal["unknown", "malformed"]
    binary: bool = False
    clause: str = "ROB-2"
    about: str = ""

    def payload(self) -> bytes:
        """The message's bytes, which need not be UTF-8."""
        return self.data


@dataclass(frozen=True, slots=True)
class Hello:
    """Say `hello` and, if `wait`, wait for the welcome (NEG-2). `text` is sent as it stands where given."""

    kind: ClassVar[str] = "hello"
    conn: str
    features: tuple[str, ...]
    text: str | None = None
    wait: bool = True
    auth: Auth = "none"
    """Which token it presents (SEC-1)."""

    def payload(self, token: str | None = None) -> bytes:
        """The message's UTF-8 bytes, with the token that `auth` stands for."""
        if self.text is not None:
            return self.text.encode()
        auth = None if token is None else {"token": token}
        return _message("hello", protocol=1, features=list(self.features), auth=auth)


@dataclass(frozen=True, slots=True)
class Follow:
    """Subscribe on a connection that said hello, with the fields of Part 2.

    `token` says which token to send: `first`, `confirmed` or `last`, a colon, and the connection that got it
    for this investigation; `/` and another investigation's id may follow, then `|` and how to spoil it:
    `cut`, `flip`, `long` or `foreign` (it is another investigation's). Or `=` and a text of one's own.
    `uninvited`: it is sent where no hello was said, too, and means no more than a plain one there (NEG-1).
    """

    kind: ClassVar[str] = "follow"
    conn: str
    investigation_id: str
    scope: tuple[str, ...] | None = None
    ref: str | None = None
    token: str | None = None
    wait: bool = True
    uninvited: bool = False

    def payload(self, token: str | None = None) -> bytes:
        """The message's UTF-8 bytes, with the token that the reference stands for."""
        fields = {
            "ref": self.ref,
            "replay_token": token,
            "scope": None if self.scope is None else list(self.scope),
        }
        return _message("subscribe_investigation", investigation_id=self.investigation_id, **fields)


@dataclass(frozen=True, slots=True)
class Forbidden(Follow):
    """Subscribe to what the principal may not see: not to be confirmed, and told where errors are (SEC-2)."""

    kind: ClassVar[str] = "forbidden"


@dataclass(frozen=True, slots=True)
class Unfollow:
    """Unsubscribe and, if `wait`, wait for the answer (UNS-1)."""

    kind: ClassVar[str] = "unfollow"
    conn: str
    investigation_id: str
    ref: str | None = None
    wait: bool = True

    def payload(self) -> bytes:
        """The message's UTF-8 bytes."""
        return _message("unsubscribe_investigation", investigation_id=self.investigation_id, ref=self.ref)


@dataclass(frozen=True, slots=True)
class AppPing:
    """Send a `ping` message and, if `wait`, wait for the `pong` with the same id (HB-1)."""

    kind: ClassVar[str] = "app_ping"
    conn: str
    id: str
    ref: str | None = None
    wait: bool = True

    def payload(self) -> bytes:
        """The message's UTF-8 bytes."""
        return _message("ping", id=self.id, ref=self.ref)


@dataclass(frozen=True, slots=True)
class Mistake:
    """Send a message that is not to be carried out; where errors are told, one of `codes` is (ERR-1)."""

    kind: ClassVar[str] = "mistake"
    conn: str
    text: str
    codes: tuple[str, ...]
    ref: str | None = None

    def payload(self) -> bytes:
        """The message's UTF-8 bytes."""
        return self.text.encode()


Negotiated = Hello | Follow | Forbidden | Unfollow | AppPing | Mistake
"""Messages of Part 2."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a Ping frame; a Pong with the same payload is expected."""

    kind: ClassVar[str] = "ping"
    conn: str
    data: bytes = b""


Message = Subscribe | Say | Ping | Negotiated
"""What is sent as one message or control frame."""


@dataclass(frozen=True, slots=True)
class Together:
    """Send the messages of `steps` (one connection) in a single TCP segment."""

    kind: ClassVar[str] = "together"
    steps: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Send one message cut at `cuts` (byte offsets of its payload).

    `how`: `fragments` makes a WebSocket frame of each piece, `interleaved` also puts a Ping
    between them, `segments` sends one frame in several TCP segments, cut at offsets of the
    frame's bytes.
    """

    kind: ClassVar[str] = "pieces"
    step: Subscribe | Say | Hello
    cuts: tuple[int, ...]
    how: Literal["fragments", "interleaved", "segments"]


@dataclass(frozen=True, slots=True)
class Raw:
    """Write raw bytes on an open connection: no frame, or a broken one. The connection may end by it."""

    kind: ClassVar[str] = "raw"
    conn: str
    data: bytes
    about: str = ""


@dataclass(frozen=True, slots=True)
class Http:
    """Send raw bytes on a TCP connection of its own and read the status of the answer, if any.

    `expect_client_error` asks for a 4xx (CONN-2). `{path}` in `data` stands for the channel's
    path with a fresh client id, `{host}` for the server's address.
    """

    kind: ClassVar[str] = "http"
    data: bytes
    expect_client_error: bool = False
    linger: float = 0.0
    """Seconds for which the connection is left open, unread."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Make the server emit `data` (JSON text, sent as it stands) for an investigation.

    With `wait` the step ends when the server has accepted it; without, steps go on at once.
    `exact` also compares the spelling of numbers (EVT-6). `prompt` waits for the deliveries, which
    must not take long (ROB-5).
    """

    kind: ClassVar[str] = "publish"
    investigation_id: str
    data: str
    wait: bool = True
    exact: bool = False
    prompt: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """Start the closing handshake and, if `wait`, see it through (CONN-4). `code` None: an empty frame."""

    kind: ClassVar[str] = "close"
    conn: str
    code: int | None = 1000
    reason: str = ""
    wait: bool = True


@dataclass(frozen=True, slots=True)
class Abort:
    """Reset TCP without a close frame."""

    kind: ClassVar[str] = "abort"
    conn: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Run the user's command that restarts the server, and wait until it serves. All connections end."""

    kind: ClassVar[str] = "restart"


@dataclass(frozen=True, slots=True)
class Stall:
    """Stop reading from the socket. What others get must not change (ROB-5)."""

    kind: ClassVar[str] = "stall"
    conn: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Read on after a stall.

    With `answers`, the rest of the script is not needed if the server turns out to have ended the
    connection; with `must_have_ended` it must have.
    """

    kind: ClassVar[str] = "resume"
    conn: str
    answers: bool = False
    must_have_ended: bool = False


@dataclass(frozen=True, slots=True)
class Inflate:
    """Send a subscribe that is compressed and inflates to `size` bytes, beyond the limit (CMP-2)."""

    kind: ClassVar[str] = "inflate"
    conn: str
    investigation_id: str
    size: int

    def payload(self) -> bytes:
        """The message's UTF-8 bytes."""
        bare = len(subscribe_text(self.investigation_id, x="").encode())
        return subscribe_text(self.investigation_id, x="x" * max(self.size - bare, 0)).encode()


@dataclass(frozen=True, slots=True)
class Flood:
    """Send `count` subscribes, each with a `ref`, as fast as they go (FLW-3).

    With `until_ended` they go on, that many at a time, until the server ends the connection, which it must
    before it got `most`, and that for some seconds.
    """

    kind: ClassVar[str] = "flood"
    conn: str
    investigation_id: str
    count: int
    until_ended: bool = False
    most: int = 0


@dataclass(frozen=True, slots=True)
class Quiet:
    """Have a connection listen from now on: a ping is due by an interval from now (HB-2).

    One that is `dead` answers no ping, and must be ended after that. One that is `deaf` answers no ping
    message either, but goes on to show life in other ways, so it must be kept.
    """

    kind: ClassVar[str] = "quiet"
    conn: str
    dead: bool = False
    deaf: bool = False


@dataclass(frozen=True, slots=True)
class Await:
    """Wait for a `position` of each of some investigations that is due within `seconds` (RPL-6)."""

    kind: ClassVar[str] = "await"
    conn: str
    investigation_ids: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Let `seconds` pass: part of a scenario's timing, never a way to wait for an answer."""

    kind: ClassVar[str] = "pause"
    seconds: float


@dataclass(frozen=True, slots=True)
class Settle:
    """Wait until everything that must have come has come, then put a `fence` behind what must not."""

    kind: ClassVar[str] = "settle"
    fence: bool = True


Step = (
    Connect
    | Knock
    | TurnedAway
    | Negotiated
    | Subscribe
    | Say
    | Ping
    | Together
    | Pieces
    | Raw
    | Http
    | Publish
    | Close
    | Abort
    | Restart
    | Await
    | Inflate
    | Flood
    | Quiet
    | Stall
    | Resume
    | Pause
    | Settle
)
_KINDS: dict[str, type[Step]] = {
    step.kind: step
    for step in (
        Connect, Knock, TurnedAway, Hello, Follow, Forbidden, Unfollow, AppPing, Mistake,
        Subscribe, Say, Ping, Together, Pieces, Raw, Http, Publish, Close, Abort, Stall, Resume,
        Pause, Settle, Restart, Await, Inflate, Flood, Quiet,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Script:
    """One scenario. `clause` is what it was written for, `check` who wrote it.

    `mode`: `beside` others; `alone` for tight timing; `long` ones run beside the later phases; `last` ones
    when nothing else is tested any more.
    `salts` are the parts of its ids that make them unique (see `names`).
    """

    title: str
    steps: tuple[Step, ...]
    clause: str
    check: str = ""
    mode: Literal["beside", "alone", "long", "last"] = "beside"
    salts: tuple[str, str] = ("", "")

    def with_steps(self, steps: Iterable[Step]) -> Script:
        """The same scenario with other steps."""
        return replace(self, steps=tuple(steps))


def connections(step: Step) -> tuple[str, ...]:
    """The names of the connections that a step uses."""
    match step:
        case Together(steps):
            return tuple(dict.fromkeys(inner.conn for inner in steps))
        case Pieces(inner, _, _):
            return (inner.conn,)
        case Publish() | Pause() | Settle() | Http() | Restart() | Knock():
            return ()
        case _:
            return (step.conn,)


def misbehaves(step: Step) -> bool:
    """Whether the step sends what is malformed, so that its connection may be ended."""
    return isinstance(step, Raw) or (isinstance(step, Say) and step.role == "malformed")


def is_peaceful(script: Script) -> bool:
    """Whether nothing in the script could be an excuse to disturb others (ROB-1, ROB-5)."""
    return not any(
        isinstance(step, Stall | Http | Restart | Inflate | Flood) or misbehaves(step)
        for step in flat(script.steps)
    )


def flat(steps: Iterable[Step]) -> Iterable[Step]:
    """Every step, with those inside `Together` and `Pieces` too."""
    for step in steps:
        yield step
        if isinstance(step, Together):
            yield from step.steps
        elif isinstance(step, Pieces):
            yield step.step


def subscribe_text(investigation_id: object, **unknown: object) -> str:
    """A subscribe message as JSON text. `unknown` fields come after the known ones."""
    return json.dumps(
        {"type": "subscribe_investigation", "investigation_id": investigation_id, **unknown},
        ensure_ascii=False,
    )


def frames(step: Message, token: str | None = None, extensions: Sequence[Extension] = ()) -> bytes:
    """The step's message as one masked frame. `token` is what a `Follow`'s reference stands for.

    `extensions` are a connection's, whose compression has a memory: what they encode has to be sent.
    """
    if isinstance(step, Ping):
        return Frame(Opcode.PING, step.data).serialize(mask=True)
    opcode = Opcode.BINARY if isinstance(step, Say) and step.binary else Opcode.TEXT
    data = step.payload(token) if isinstance(step, Follow | Hello) else step.payload()
    return Frame(opcode, data).serialize(mask=True, extensions=extensions)


def _message(type_: str, **fields: object) -> bytes:
    present = {name: value for name, value in fields.items() if value is not None}
    return json.dumps({"type": type_, **present}, ensure_ascii=False).encode()


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """`data` in pieces; a cut may stand twice, which makes an empty piece."""
    edges = [0, *(min(edge, len(data)) for edge in sorted(cuts)), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def pieces(step: Pieces, ping: Callable[[], bytes]) -> list[bytes]:
    """What `Pieces` writes, a segment each. `ping` gives the payload of an interleaved Ping."""
    inner = step.step
    if step.how == "segments":
        return cut(frames(inner), step.cuts)
    parts = cut(inner.payload(), step.cuts)
    opcode = Opcode.BINARY if isinstance(inner, Say) and inner.binary else Opcode.TEXT
    made = []
    for index, part in enumerate(parts):
        fin = index == len(parts) - 1
        frame = Frame(opcode if index == 0 else Opcode.CONT, part, fin=fin).serialize(mask=True)
        if step.how == "interleaved" and not fin:
            frame += Frame(Opcode.PING, ping()).serialize(mask=True)
        made.append(frame)
    return made


def to_json(step: Step) -> dict[str, Any]:
    """A step as a JSON object, for trace files. Bytes become base64."""
    made: dict[str, Any] = {"step": step.kind}
    for item in fields(step):
        value = getattr(step, item.name)
        if value == item.default:
            continue
        made[_INNER if item.name == "step" else item.name] = _value_to_json(value)
    return made


_INNER = "of"
"""The JSON name of the message that is sent in pieces: `step` is the name of the kind."""


def _value_to_json(value: object) -> object:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, tuple):
        return [_value_to_json(item) for item in value]
    if isinstance(value, Message):
        return to_json(value)
    return value


def from_json(made: Mapping[str, Any]) -> Step:
    """The reverse of `to_json`. Raises `ValueError` for what is no step."""
    try:
        make = cast("Callable[..., Step]", _KINDS[made["step"]])
        given = {name: _value_from_json(value) for name, value in made.items() if name != "step"}
        if _INNER in given:
            given["step"] = given.pop(_INNER)
        return make(**given)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no step: {str(made)[:80]}") from error


def _value_from_json(value: object) -> object:
    if isinstance(value, dict) and set(value) == {"base64"}:
        return base64.b64decode(value["base64"], validate=True)
    if isinstance(value, dict) and "step" in value:
        return from_json(value)
    if isinstance(value, list):
        return tuple(_value_from_json(item) for item in value)
    return value
