"""The heartbeat on a clock of the test's own: who is pinged, who is dead, how seldom its timer wakes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from osint_events_server.heartbeat import Due, Heartbeat

INTERVAL = 25.0
TIMEOUT = 10.0


@dataclass
class Life:
    """A connection's life, second by second or at chosen times, with a timer that is never late."""

    heartbeat: Heartbeat = field(default_factory=lambda: Heartbeat(interval=INTERVAL, timeout=TIMEOUT, now=0))
    pings: list[float] = field(default_factory=list)
    wakes: int = 0
    closed_at: float | None = None

    def run_to(self, end: float, *, on_ping: Callable[[float], None] = lambda _: None) -> None:
        """Wake whenever the heartbeat asks for it, up to and including `end`."""
        while self.closed_at is None and self.heartbeat.wake_at <= end:
            now = self.heartbeat.wake_at
            self.wakes += 1
            match self.heartbeat.due(now):
                case Due.PING:
                    self.pings.append(now)
                    on_ping(now)
                case Due.TIMEOUT:
                    self.closed_at = now

    def sent(self, now: float) -> None:
        self.run_to(now)
        self.heartbeat.sent_at = now

    def received(self, now: float) -> None:
        self.run_to(now)
        self.heartbeat.received_at = now


def test_a_connection_on_which_nothing_happens_is_pinged_and_then_closed() -> None:
    life = Life()
    life.run_to(1000)
    assert life.pings == [INTERVAL]
    assert life.closed_at == INTERVAL + TIMEOUT


def test_a_silent_listener_of_a_busy_stream_is_pinged_and_never_closed_while_it_answers() -> None:
    life = Life()
    for now in range(1000):
        life.heartbeat.sent_at = float(now)
        life.run_to(now, on_ping=life.received)
    assert life.closed_at is None
    assert life.pings == [INTERVAL * count for count in range(1, 40)]


def test_a_dead_listener_of_a_busy_stream_is_closed_on_time() -> None:
    life = Life()
    for now in range(60):
        life.sent(now)
    assert life.pings == [INTERVAL]
    assert life.closed_at == INTERVAL + TIMEOUT


def test_a_talkative_client_that_is_sent_nothing_is_pinged_and_stays() -> None:
    life = Life()
    for now in range(100):
        life.received(now)
    assert life.pings == [25, 50, 75]
    assert life.closed_at is None


def test_any_frame_in_the_last_moment_is_life() -> None:
    life = Life()
    life.run_to(34)
    life.received(34.9)
    life.run_to(1000)
    assert life.pings == [25, 50, 59.9]  # nothing came since 0; was sent since 25; came since 34.9
    assert life.closed_at == 69.9


def test_an_answer_to_an_early_ping_does_not_hide_a_later_silence() -> None:
    life = Life()
    life.received(10)
    life.run_to(25)
    assert life.pings == [25]  # nothing was sent since 0
    life.run_to(1000)
    assert life.pings == [25, 35]  # nothing came since 10
    assert life.closed_at == 45


def test_a_ping_that_goes_out_late_still_leaves_the_whole_timeout_to_answer() -> None:
    heartbeat = Heartbeat(interval=INTERVAL, timeout=TIMEOUT, now=0)
    assert heartbeat.due(100) is Due.PING
    assert heartbeat.wake_at == 110
    assert heartbeat.due(109.9) is None
    assert heartbeat.due(110) is Due.TIMEOUT


def test_after_a_stall_of_the_server_an_answer_that_waits_to_be_read_saves_the_client() -> None:
    heartbeat = Heartbeat(interval=INTERVAL, timeout=TIMEOUT, now=0)
    assert heartbeat.due(25) is Due.PING
    assert heartbeat.due(45) is None
    assert 45 < heartbeat.wake_at < 45.1
    heartbeat.received_at = 45.01
    assert heartbeat.due(45.05) is None
    assert heartbeat.wake_at == 50  # nothing was sent since 25


def test_a_stall_of_the_server_saves_a_dead_client_for_a_moment_and_once() -> None:
    heartbeat = Heartbeat(interval=INTERVAL, timeout=TIMEOUT, now=0)
    assert heartbeat.due(25) is Due.PING
    assert heartbeat.due(35.2) is None
    assert heartbeat.due(40) is Due.TIMEOUT


def test_every_silence_has_a_moment_of_its_own_after_a_stall() -> None:
    heartbeat = Heartbeat(interval=INTERVAL, timeout=TIMEOUT, now=0)
    for start in (0, 1000):
        heartbeat.received_at = heartbeat.sent_at = start
        assert heartbeat.due(start + 25) is Due.PING
        assert heartbeat.due(start + 45) is None


actions = st.lists(
    st.tuples(st.floats(0, 40, allow_nan=False), st.sampled_from(["sent", "received", "nothing"])),
    max_size=30,
)


@given(actions)
def test_no_silence_goes_unpinged_and_only_the_dead_are_closed_on_time(
    steps: list[tuple[float, str]],
) -> None:
    life = Life()
    now = last_received = 0.0
    sent, asked = [0.0], []
    for pause, action in steps:
        now += pause
        life.run_to(now)
        if life.closed_at is not None:
            break
        if action == "sent":
            life.sent(now)
            sent.append(now)
        elif action == "received":
            asked += [last_received + INTERVAL] if now > last_received + INTERVAL else []
            life.received(now)
            last_received = now
    life.run_to(now + 100)
    assert life.closed_at == last_received + INTERVAL + TIMEOUT
    asked.append(last_received + INTERVAL)
    assert set(asked) <= set(life.pings)
    outbound = sorted([*sent, *life.pings])
    # Clock readings are added up: the last digits are not the point.
    assert all(later - earlier <= INTERVAL + 1e-6 for earlier, later in pairwise(outbound))
    assert life.closed_at - outbound[-1] <= INTERVAL


@given(st.floats(0.1, 60), st.floats(0.1, 34))
def test_a_timer_wakes_a_few_times_an_interval_however_busy_the_connection_is(
    sending: float, receiving: float
) -> None:
    life = Life()
    end = 20 * INTERVAL
    moments = [(step * sending, life.sent) for step in range(int(end / sending))]
    moments += [(step * receiving, life.received) for step in range(int(end / receiving) + 1)]
    for now, happens in sorted(moments, key=lambda moment: moment[0]):
        happens(now)
    assert life.closed_at is None
    assert life.wakes <= 4 * 20
