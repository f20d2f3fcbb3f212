"""The outbox of mails and pushes, for a worker and an operator. The SQL: migrations/*_outbox*.sql."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from soundscape.errors import DeliveryFailure
from soundscape.project.client import translate_errors
from soundscape.project.functions import Functions

STATES = ("queued", "running", "sent", "dropped", "dead")
CHANNELS = ("email", "push")
Row = dict[str, Any]


@dataclass(frozen=True)
class Delivery:
    """One mail, or one push to one browser, that this worker has to send."""

    delivery_id: str
    """The idempotency key: the same however often it is tried, and by whom."""
    token: str = field(repr=False)
    channel: str
    attempt: int
    user_id: str
    locale: str
    address: str | None = field(repr=False)
    endpoint: str | None = field(repr=False)
    p256dh: str | None = field(repr=False)
    auth: str | None = field(repr=False)
    content: list[Row] = field(repr=False)
    """One entry a kind: kind, count, recordings (id, title) and digest."""

    @property
    def kinds(self) -> list[str]:
        """The kinds of notifications in it."""
        return [entry["kind"] for entry in self.content]


class Outbox(Functions):
    """The deliveries as one worker sees them. Methods raise what `translate_errors` raises."""

    async def claim(self, channels: Sequence[str], *, lease_s: int) -> Delivery | None:
        """Claim a delivery; None if there is nothing to do."""
        rows = await self._call("claim_delivery", channels=list(channels), lease_s=lease_s)
        with translate_errors("claim_delivery"):
            found = [Delivery(**{each.name: row[each.name] for each in fields(Delivery)}) for row in rows]
        return found[0] if found else None

    async def complete(self, delivery: Delivery) -> None:
        """Note that the other server has it."""
        await self._call("complete_delivery", delivery=delivery.delivery_id, token=delivery.token)

    async def fail(self, delivery: Delivery, failure: DeliveryFailure) -> str:
        """Note how it failed. Returns its state: queued, dropped or dead."""
        state: str = await self._call(
            "fail_delivery",
            delivery=delivery.delivery_id,
            token=delivery.token,
            outcome=failure.outcome,
            code=failure.code,
            message=failure.message,
            retry_after_s=failure.retry_after_s,
        )
        return state

    async def release(self, delivery: Delivery) -> None:
        """Give it back: this worker stops before it has sent it."""
        await self._call(
            "fail_delivery",
            delivery=delivery.delivery_id,
            token=delivery.token,
            outcome="released",
            code="released",
            message="",
        )

    async def report_channel(self, channel: str, *, reason: str | None, public_key: str | None) -> None:
        """Say whether this worker delivers to a channel: `reason` is None, or why not."""
        await self._call(
            "report_channel", channel=channel, is_on=reason is None, reason=reason, public_key=public_key
        )

    async def unsubscribe(self, user_id: str, kinds: Sequence[str]) -> None:
        """End mails of these kinds to a user."""
        await self._call("unsubscribe", account=user_id, kinds=list(kinds))


class Deliveries(Functions):
    """The outbox for its operator. Methods raise what `translate_errors` raises."""

    async def find(
        self,
        *,
        states: Sequence[str] | None = None,
        owner: str | None = None,
        channel: str | None = None,
        code: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[Row]:
        """List deliveries, newest first. `before` is the id of the last one of the previous page."""
        found: list[Row] = await self._call(
            "list_deliveries",
            states=list(states) if states else None,
            owner=owner,
            channel=channel,
            code=code,
            before=before,
            max_deliveries=limit,
        )
        return found

    async def show(self, delivery_id: str) -> Row | None:
        """Read one delivery; None if there is none of this id."""
        found: Row | None = await self._call("show_delivery", delivery=delivery_id)
        return found

    async def retry(self, delivery_ids: Sequence[str]) -> Sequence[str]:
        """Queue deliveries again that were dropped or given up. Returns those."""
        found: Sequence[str] = await self._call("retry_deliveries", deliveries=[*delivery_ids])
        return found

    async def cancel(self, delivery_ids: Sequence[str]) -> Sequence[str]:
        """Drop deliveries that wait. Returns those."""
        found: Sequence[str] = await self._call("cancel_deliveries", deliveries=[*delivery_ids])
        return found

    async def reopen_address(self, user_id: str) -> bool:
        """Send mails again to an address that came back. False if it had not ended."""
        return bool(await self._call("reopen_address", account=user_id))

    async def reopen_addresses(self, code: str | None = None) -> Sequence[str]:
        """Send mails again to all addresses that ended, or that ended with this code. Returns their users."""
        found: Sequence[str] = await self._call("reopen_addresses", code=code)
        return found

    async def stats(self) -> Row:
        """Read the figures of each channel."""
        found: Row = await self._call("delivery_stats")
        return found
