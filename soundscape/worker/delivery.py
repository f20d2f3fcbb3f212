"""Delivers the outbox: mails and pushes, several at once, each once unless a worker is killed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import structlog

from soundscape.errors import DeliveryFailure, LeaseLost, ProjectError
from soundscape.project.client import connect
from soundscape.project.outbox import Delivery, Outbox
from soundscape.settings import Settings
from soundscape.telemetry import metrics
from soundscape.worker.channels import MIN_PAUSE_S, Channel
from soundscape.worker.readiness import Check
from soundscape.worker.smtp import SEND_TIMEOUT_S

log = structlog.get_logger(__name__)

LEASE_S = round(2 * SEND_TIMEOUT_S)
"""Twice as long as a send may take: while one is under way nobody else begins it."""
MAX_SENDS = 4
"""Deliveries at once, of each channel: a mail server that hangs holds up no push."""
REPORT_INTERVAL_S = 300.0
STOP_GRACE_S = 10.0


class DeliveryLoop:
    """Takes deliveries from the outbox and hands them over, until cancelled.

    Parameters
    ----------
    channels
        As `open_channels` returns them.
    interval_s
        Pause between two looks, unless it is woken.
    lease_s
        How long a delivery is ours. It must be longer than a send may take.
    min_pause_s
        The first pause after a server did not answer.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        *,
        interval_s: float,
        lease_s: int = LEASE_S,
        min_pause_s: float = MIN_PAUSE_S,
    ) -> None:
        self._channels = channels
        self._interval_s = interval_s
        self._lease_s = lease_s
        self._min_pause_s = min_pause_s
        self._wakes = {name: asyncio.Event() for name in channels}

    def wake(self) -> None:
        """Look soon."""
        for wake in self._wakes.values():
            wake.set()

    def run_checks(self) -> dict[str, Check]:
        """What readiness says of each channel. One that is off is no failure: everything else works."""
        checks = {}
        for name, channel in self._channels.items():
            if channel.sender is None:
                checks[name] = Check("ok", f"off: {channel.off_reason}")
            elif channel.problem is not None:
                checks[name] = Check("degraded", channel.problem)
            else:
                checks[name] = Check("ok")
        return checks

    async def run(self, settings: Settings) -> None:
        """Deliver again and again, until cancelled."""
        async with connect(settings.supabase_url, settings.secret_key) as (client, _):
            await self.deliver(Outbox(client))

    async def deliver(self, outbox: Outbox) -> None:
        """Deliver from this outbox again and again, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_reporting(outbox))
            for name, channel in self._channels.items():
                if channel.sender is not None:
                    group.create_task(self._keep_draining(outbox, name))

    async def drain(self, outbox: Outbox) -> int:
        """Deliver what is due now. Returns how many were tried. Raises `ProjectError`."""
        counts = await asyncio.gather(
            *(
                self._drain_channel(outbox, name)
                for name, channel in self._channels.items()
                if channel.sender is not None
            ),
            return_exceptions=True,
        )
        for count in counts:
            if isinstance(count, BaseException):
                raise count
        return sum(count for count in counts if isinstance(count, int))

    async def _keep_reporting(self, outbox: Outbox) -> None:
        while True:
            wait_s = REPORT_INTERVAL_S
            try:
                for name, channel in self._channels.items():
                    await outbox.report_channel(
                        name, reason=channel.off_reason, public_key=channel.public_key
                    )
            except ProjectError as error:
                log.warning("the channels cannot be reported at the moment", error=str(error))
                wait_s = self._interval_s
            except Exception:
                log.exception("the channels could not be reported, it is tried again")
                wait_s = self._interval_s
            await asyncio.sleep(wait_s)

    async def _keep_draining(self, outbox: Outbox, name: str) -> None:
        wake, channel = self._wakes[name], self._channels[name]
        while True:
            wake.clear()
            try:
                await self._drain_channel(outbox, name)
            except ProjectError as error:
                log.warning("the outbox cannot be delivered at the moment", channel=name, error=str(error))
            except Exception:
                log.exception("the outbox could not be delivered, it is tried again", channel=name)
            pause_s = channel.remaining_pause_s or self._interval_s
            # Not wait_for: until Python 3.12 it swallows a cancellation that comes with a wake.
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.05, min(self._interval_s, pause_s))):
                    await wake.wait()

    async def _drain_channel(self, outbox: Outbox, name: str) -> int:
        channel, count = self._channels[name], 0
        sends: set[asyncio.Task[None]] = set()
        try:
            while True:
                # One message finds out whether the server answers again.
                has_room = len(sends) < (MAX_SENDS if channel.problem is None else 1)
                delivery = await self._claim(outbox, name) if has_room else None
                if delivery is not None:
                    sends.add(asyncio.create_task(self._send(outbox, delivery)))
                    count += 1
                elif sends:
                    ended, sends = await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)
                    for send in ended:
                        send.result()
                else:
                    return count
        except asyncio.CancelledError:
            # They may just have been handed over: without saying so they would be sent once more.
            if sends:
                await asyncio.wait(sends, timeout=STOP_GRACE_S)
            for send in sends:
                send.cancel()
            raise
        except Exception:
            if sends:
                await asyncio.wait(sends)
            raise

    async def _claim(self, outbox: Outbox, name: str) -> Delivery | None:
        if self._channels[name].remaining_pause_s > 0:
            return None
        claim = asyncio.create_task(outbox.claim([name], lease_s=self._lease_s))
        try:
            return await asyncio.shield(claim)
        except asyncio.CancelledError:
            # The answer may be on its way: nobody else would send it before the lease ends.
            with suppress(ProjectError, TimeoutError):
                async with asyncio.timeout(STOP_GRACE_S):
                    delivery = await claim
                    if delivery is not None:
                        await outbox.release(delivery)
            raise

    async def _send(self, outbox: Outbox, delivery: Delivery) -> None:
        channel = self._channels[delivery.channel]
        assert channel.sender is not None
        labels = {"delivery.id": delivery.delivery_id, "delivery.channel": delivery.channel}
        pause_count = channel.pause_count
        try:
            try:
                await channel.sender.send(delivery)
            except DeliveryFailure as failure:
                channel.note_failure(failure, pause_count=pause_count, min_pause_s=self._min_pause_s)
                state = await outbox.fail(delivery, failure)
                metrics.DELIVERIES.labels(delivery.channel, state).inc()
                # The server's words may name the address: they are in the outbox, not in the log.
                log.info("a delivery failed", **labels, code=failure.code, state=state)
            else:
                channel.note_answer()
                await outbox.complete(delivery)
                metrics.DELIVERIES.labels(delivery.channel, "sent").inc()
                log.info("a delivery was sent", **labels, attempt=delivery.attempt)
        except LeaseLost:
            log.info("a delivery is not ours any more", **labels)
        except ProjectError as error:
            # The lease runs out, and it is sent once more with the same id.
            log.warning("how a delivery ended could not be noted", **labels, error=str(error))
