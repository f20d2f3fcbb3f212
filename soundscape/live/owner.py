"""Who a session is for."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Owner:
    """A user, and until when that is known."""

    user_id: str
    expires_at_s: float
    token: str = field(repr=False, default="")
