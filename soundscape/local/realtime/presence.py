"""Who is tracked on one topic: a key (a user, say) and under it one entry for each tracking channel."""

from __future__ import annotations

import secrets
from typing import Any

State = dict[str, dict[str, list[dict[str, Any]]]]
"""`{key: {"metas": [{"phx_ref": …, …}]}}`, as Phoenix sends it."""


class Presence:
    """The tracked entries of a topic, by the channel that tracks."""

    def __init__(self) -> None:
        self._tracked: dict[object, tuple[str, dict[str, Any]]] = {}

    @property
    def state(self) -> State:
        found: State = {}
        for key, meta in self._tracked.values():
            found.setdefault(key, {"metas": []})["metas"].append(meta)
        return found

    def track(self, channel: object, key: str, payload: dict[str, Any]) -> dict[str, State] | None:
        """Track, or change what is tracked. The difference to send; None when nothing changed."""
        before = self._tracked.get(channel)
        # The references are ours: a client must not be able to name another's.
        own = _own(payload)
        if before is not None and _own(before[1]) == own:
            return None
        meta = {**own, "phx_ref": secrets.token_urlsafe(12)}
        if before is not None:
            meta["phx_ref_prev"] = before[1]["phx_ref"]
        self._tracked[channel] = (key, meta)
        return {"joins": _one(key, meta), "leaves": _one(*before) if before else {}}

    def untrack(self, channel: object) -> dict[str, State] | None:
        """Stop tracking. The difference to send; None when the channel tracked nothing."""
        before = self._tracked.pop(channel, None)
        return {"joins": {}, "leaves": _one(*before)} if before else None


def _one(key: str, meta: dict[str, Any]) -> State:
    return {key: {"metas": [meta]}}


def _own(meta: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in meta.items() if name not in ("phx_ref", "phx_ref_prev")}
