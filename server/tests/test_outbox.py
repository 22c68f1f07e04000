"""The outbox counts exactly, holds no more than its limits, and says when it fills."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from osint_events_server.frames import Frames
from osint_events_server.outbox import MAX_FIRST, Outbox, OutboxFull, Pressure


def outbox(*, max_messages: int = 10, max_bytes: int = 100) -> Outbox:
    return Outbox(max_messages=max_messages, max_bytes=max_bytes)


def drained(box: Outbox) -> bytes:
    """All that waits, in the order in which it would be written."""
    wire = b""
    while box:
        wire += box.take().wire
    return wire


def test_a_new_outbox_is_empty() -> None:
    box = outbox()
    assert not box
    assert (box.messages, box.bytes) == (0, 0)


def test_what_was_put_first_is_taken_first() -> None:
    box = outbox()
    box.put(Frames(b"one"))
    box.put(Frames(b"two"))
    assert [box.take(limit=1).wire, box.take(limit=1).wire] == [b"one", b"two"]
    assert not box


def test_frames_are_joined_up_to_the_limit_and_never_divided() -> None:
    box = outbox()
    for wire in (b"12", b"34", b"5", b"6789abc", b"d"):
        box.put(Frames(wire))
    taken = [box.take(limit=5) for _ in range(3)]
    assert [(write.wire, write.messages) for write in taken] == [(b"12345", 3), (b"6789abc", 1), (b"d", 1)]
    assert not box


def test_what_is_taken_alone_is_not_copied() -> None:
    box = outbox()
    frames = Frames(b"alone")
    box.put(frames)
    assert box.take() is frames


def test_the_last_message_of_the_limit_fits_and_the_next_does_not() -> None:
    box = outbox(max_messages=3)
    box.put(Frames(b"ab", messages=2))
    box.put(Frames(b"c"))
    with pytest.raises(OutboxFull):
        box.put(Frames(b"d"))
    assert (box.messages, box.bytes) == (3, 3)


def test_the_last_byte_of_the_limit_fits_and_the_next_does_not() -> None:
    box = outbox(max_bytes=5)
    box.put(Frames(b"12345"))
    with pytest.raises(OutboxFull):
        box.put(Frames(b"6"))
    assert (box.messages, box.bytes) == (1, 5)


def test_what_does_not_fit_whole_is_not_queued_in_part() -> None:
    box = outbox(max_messages=3)
    box.put(Frames(b"ab", messages=2))
    with pytest.raises(OutboxFull):
        box.put(Frames(b"cd", messages=2))
    assert drained(box) == b"ab"


def test_nothing_is_taken_after_the_first_loss_even_where_it_would_fit() -> None:
    box = outbox(max_messages=3)
    box.put(Frames(b"ab", messages=2))
    with pytest.raises(OutboxFull):
        box.put(Frames(b"cd", messages=2))
    with pytest.raises(OutboxFull):
        box.put(Frames(b"e"))
    with pytest.raises(OutboxFull):
        box.put_first(Frames(b"f"))
    assert drained(box) == b"ab"


def test_a_cleared_outbox_takes_as_much_as_a_new_one() -> None:
    box = outbox(max_messages=1, max_bytes=1)
    box.put(Frames(b"1"))
    box.put_first(Frames(b"first"))
    with pytest.raises(OutboxFull):
        box.put(Frames(b"2"))
    box.clear()
    assert not box
    box.put(Frames(b"3"))
    assert box.messages == 1
    assert drained(box) == b"3"


def test_what_is_put_first_goes_ahead_of_all_that_waits_in_its_own_order() -> None:
    box = outbox()
    box.put(Frames(b"event"))
    box.put_first(Frames(b"pong1"))
    box.put_first(Frames(b"pong2"))
    box.put(Frames(b"later"))
    assert drained(box) == b"pong1pong2eventlater"


def test_what_is_put_first_fits_into_a_full_queue_and_is_not_counted() -> None:
    box = outbox(max_messages=1, max_bytes=4)
    box.put(Frames(b"full"))
    box.put_first(Frames(b"pong"))
    assert (box.messages, box.bytes) == (1, 4)
    assert drained(box) == b"pongfull"


def test_who_asks_and_reads_no_answers_fills_the_outbox_too() -> None:
    box = outbox()
    for _ in range(MAX_FIRST):
        box.put_first(Frames(b"pong"))
    with pytest.raises(OutboxFull):
        box.put_first(Frames(b"pong"))
    assert drained(box) == b"pong" * MAX_FIRST


def test_pressure_is_high_at_half_of_the_messages_and_normal_at_a_quarter() -> None:
    box = outbox(max_messages=8, max_bytes=1000)
    told = []
    for _ in range(8):
        box.put(Frames(b"x"))
        told.append(box.pressure())
    assert told == [None, None, None, Pressure.HIGH, None, None, None, None]
    eased = []
    for _ in range(8):
        box.take(limit=1)
        eased.append((box.messages, box.pressure()))
    assert eased == [
        (7, None),
        (6, None),
        (5, None),
        (4, None),
        (3, None),
        (2, Pressure.NORMAL),
        (1, None),
        (0, None),
    ]


def test_pressure_is_high_at_half_of_the_bytes_and_normal_at_a_quarter() -> None:
    box = outbox(max_messages=100, max_bytes=80)
    box.put(Frames(b"x" * 19))
    box.put(Frames(b"x" * 20))
    assert box.pressure() is None
    box.put(Frames(b"x"))
    assert box.pressure() is Pressure.HIGH
    box.take(limit=1)
    assert (box.bytes, box.pressure()) == (21, None)
    box.put(Frames(b""))
    box.take(limit=1)
    assert (box.bytes, box.pressure()) == (1, Pressure.NORMAL)


def test_a_spike_that_nobody_asked_about_is_not_told() -> None:
    box = outbox(max_messages=4)
    for _ in range(4):
        box.put(Frames(b"x"))
    drained(box)
    assert box.pressure() is None


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_telling_the_pressure_makes_none_however_small_the_queue(limit: int) -> None:
    box = outbox(max_messages=limit, max_bytes=1000)
    told = []
    for _ in range(limit):
        box.put(Frames(b"x"))
        if pressure := box.pressure():
            told.append(pressure)
            box.put_first(Frames(b"backpressure"))
    while box:
        box.take(limit=1)
        if pressure := box.pressure():
            told.append(pressure)
            box.put_first(Frames(b"backpressure"))
    assert told == [Pressure.HIGH, Pressure.NORMAL]


writes = st.builds(lambda count: Frames(b"x" * 3 * count, count), st.integers(1, 5))
limits = st.integers(1, 40)


@given(st.lists(writes | limits))
def test_the_counts_are_those_of_what_waits(steps: list[Frames | int]) -> None:
    box = outbox(max_messages=20, max_bytes=40)
    waiting: list[Frames] = []
    for step in steps:
        if isinstance(step, int):
            if waiting:
                taken = box.take(limit=step)
                parts = [waiting.pop(0)]
                while sum(len(part.wire) for part in parts) < len(taken.wire):
                    parts.append(waiting.pop(0))
                assert taken.wire == b"".join(part.wire for part in parts)
                assert taken.messages == sum(part.messages for part in parts)
                assert len(parts) == 1 or len(taken.wire) <= step
        elif sum(w.messages for w in waiting) + step.messages > 20 or (
            sum(len(w.wire) for w in waiting) + len(step.wire) > 40
        ):
            with pytest.raises(OutboxFull):
                box.put(step)
            break
        else:
            box.put(step)
            waiting.append(step)
        assert (box.messages, box.bytes) == (
            sum(w.messages for w in waiting),
            sum(len(w.wire) for w in waiting),
        )
        assert bool(box) == bool(waiting)
    assert drained(box) == b"".join(w.wire for w in waiting)


@given(st.lists(st.integers(1, 12) | st.none()))
def test_pressures_alternate_and_are_true_when_told(steps: list[int | None]) -> None:
    box = outbox(max_messages=1000, max_bytes=40)
    told = []
    for step in steps:
        if step is None:
            if box:
                box.take(limit=1)
        else:
            try:
                box.put(Frames(b"x" * step))
            except OutboxFull:
                break
        if pressure := box.pressure():
            told.append(pressure)
            assert (box.bytes >= 20) if pressure is Pressure.HIGH else (box.bytes <= 10)
        # What was told last still holds until the other mark is reached.
        current = told[-1] if told else Pressure.NORMAL
        assert (box.bytes > 10) if current is Pressure.HIGH else (box.bytes < 20)
    assert told == [Pressure.HIGH, Pressure.NORMAL] * (len(told) // 2) + [Pressure.HIGH] * (len(told) % 2)
