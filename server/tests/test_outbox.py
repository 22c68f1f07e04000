"""The outbox counts exactly, and holds no more than its limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from osint_events_server.frames import Frames
from osint_events_server.outbox import Outbox, OutboxFull


def outbox(*, max_messages: int = 10, max_bytes: int = 100) -> Outbox:
    return Outbox(max_messages=max_messages, max_bytes=max_bytes)


def test_a_new_outbox_is_empty() -> None:
    box = outbox()
    assert not box
    assert (box.messages, box.bytes) == (0, 0)


def test_what_was_put_first_is_taken_first() -> None:
    box = outbox()
    box.put(Frames(b"one"))
    box.put(Frames(b"two"))
    assert [box.take().wire, box.take().wire] == [b"one", b"two"]
    assert not box


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
    assert box.take().wire == b"ab"
    assert not box


def test_a_cleared_outbox_takes_as_much_as_a_new_one() -> None:
    box = outbox(max_messages=1, max_bytes=1)
    box.put(Frames(b"1"))
    box.clear()
    assert not box
    box.put(Frames(b"2"))
    assert box.messages == 1


writes = st.builds(lambda count: Frames(b"x" * 3 * count, count), st.integers(1, 5))


@given(st.lists(writes | st.none()))
def test_the_counts_are_those_of_what_waits(steps: list[Frames | None]) -> None:
    box = outbox(max_messages=20, max_bytes=40)
    waiting: list[Frames] = []
    for step in steps:
        if step is None:
            if waiting:
                assert box.take() is waiting.pop(0)
        elif sum(w.messages for w in waiting) + step.messages > 20 or (
            sum(len(w.wire) for w in waiting) + len(step.wire) > 40
        ):
            with pytest.raises(OutboxFull):
                box.put(step)
        else:
            box.put(step)
            waiting.append(step)
        assert (box.messages, box.bytes) == (
            sum(w.messages for w in waiting),
            sum(len(w.wire) for w in waiting),
        )
        assert bool(box) == bool(waiting)
