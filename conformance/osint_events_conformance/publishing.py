"""The steps that make the server emit, and the wait until all that was published is delivered."""

from __future__ import annotations

import asyncio

from osint_events_conformance import script as s
from osint_events_conformance import values, verdicts
from osint_events_conformance.context import Context, Running
from osint_events_conformance.oracle import publishable
from osint_events_conformance.records import Event
from osint_events_conformance.triggers import Answer

_LATE = 6.0
"""Seconds that are waited to tell what is late from what is lost."""
_DEFAULT_QUEUE = 1 << 20
_SHARE_OF_QUEUE = 1 / 4
_BULKY = 2.0
"""How much longer than a single event half a megabyte may take until the next of it arrives."""


class Publishing:
    """Publishes the events of scripts."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def publish(self, running: Running, step: s.Publish) -> None:
        """Publish, and wait for the answer or for the deliveries where the step says so."""
        await self._await_room(running, len(step.data))
        if step.prompt:
            await self._prompt(running, step)
        elif step.wait:
            await self.emit(running, step)
        else:
            task = asyncio.create_task(self.emit(running, step))
            running.publishes.append(task)
            await asyncio.sleep(0)  # the request starts now, in this order

    async def _prompt(self, running: Running, step: s.Publish) -> None:
        """Publish, and see that the deliveries are not delayed (ROB-5)."""
        before = self._context.ticker.seconds
        event = await self.emit(running, step)

        def arrived() -> bool:
            return all(debt.peer.stalled for debt in event.debts.values())

        came = await self._context.until(running, arrived)
        if not came and not running.lossy:
            came = await self._context.until(running, arrived, longer=_LATE)
            running.lossy = not came
        if came:
            self._judge_delivery(running, self._context.ticker.seconds - before)

    async def emit(self, running: Running, step: s.Publish) -> Event:
        """Make the server emit, and say what becomes of it."""
        case, at = running.case, self._context.clock()
        data = step.data if self._context.trigger.controls_payload else None
        event = self._context.model.publishing(case, step.investigation_id, data, at, exact=step.exact)
        event.size = len(step.data)
        case.log(at, "publisher", "*", f"publish {values.show(step.investigation_id)}: {step.data[:400]}")
        answer: Answer | None = None
        try:
            answer = await self._context.trigger.emit(step.investigation_id, step.data)
        finally:
            accepted = answer.accepted if answer else None
            self._context.model.published(event, accepted=accepted, at=self._context.clock())
        if answer.accepted is None and any(peer.stalled for peer in case.peers):
            waiting = [peer for peer in verdicts.subscribers(event) if not peer.has_stalled]
            if any(peer not in event.received for peer in waiting):
                self._judge_delivery(running, self._context.clock() - at)
        if answer.accepted is not True and step.investigation_id == self._context.model.forbidden:
            self._context.model.forbidden_refused = answer.detail or "no answer"
        elif answer.accepted is not True:
            case.refused_payloads += 1
            case.log(self._context.clock(), "publisher", "*", answer.detail)
            legal = self._context.trigger.controls_payload and publishable(step.data, step.investigation_id)
            if answer.server_error or (answer.invalid and legal):
                case.find(
                    "refused_event",
                    answer.detail,
                    "publisher",
                    self._context.clock(),
                    expected=step.data[:400],
                )
        return event

    async def caught_up(self, running: Running) -> None:
        """Wait until all that was published is delivered."""
        before = self._context.ticker.seconds
        events = await asyncio.gather(*running.publishes)
        running.publishes.clear()
        await self._collect(running)
        if any(peer.stalled for peer in running.case.peers):
            # A server may answer the publisher late; what counts is when the event arrives.
            delays = [
                at - event.started
                for event in events
                for peer, at in event.received.items()
                if not peer.has_stalled
            ]
            took = min(max(delays, default=0.0), self._context.ticker.seconds - before)
            self._judge_delivery(running, took, _BULKY)

    async def _collect(self, running: Running) -> None:
        if not await self._context.until(running, lambda: running.case.settled):
            self._context.model.overdue(running.case, self._context.clock())

    async def _await_room(self, running: Running, size: int) -> None:
        """Wait until no reader is behind by so much that the server may end it as slow (FLW-2)."""
        limits = self._context.model.capabilities.welcome.get("limits", {})
        most = limits.get("max_queue_bytes", _DEFAULT_QUEUE) * _SHARE_OF_QUEUE

        def is_room() -> bool:
            return all(
                size + behind <= most
                for peer in running.case.peers
                if peer.serves and not peer.may_end
                if (behind := sum(debt.event.size for debt in peer.debts if debt.event is not None))
            )

        if not running.crowded and not is_room():
            running.crowded = not await self._context.until(running, is_room)

    def _judge_delivery(self, running: Running, seconds: float, slack: float = 1.0) -> None:
        """Judge a delivery that took `seconds` while another reader stalls."""
        limit, at = self._context.pace.prompt * slack, self._context.clock()
        verdicts.judge_delay(running.case, "publisher", "ROB-5", seconds=seconds, limit=limit, at=at)
