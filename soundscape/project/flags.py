"""Feature flags, as the worker asks for them: the project's `flag_for` decides, as it does for policies.

    if await flags.is_on("live_listening", user_id): …

An answer is kept for a second. So a flag that is switched is switched here a second later, and a busy route
asks once a second for each user. What is asked at the same moment is one request.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from uuid import UUID

import structlog
from supabase import AsyncClient

from soundscape.errors import ProjectError
from soundscape.project.functions import Functions

Question = tuple[str, str | None]
"""A flag, and the user's id."""

log = structlog.get_logger(__name__)

CACHED_S = 1.0
MAX_ANSWERS = 10_000
MAX_QUESTIONS = 1_000
"""Of a request, as `flags_for` allows."""
KEY = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""As the table takes them."""
MAX_LOGGED = 1_000
"""Unknown flags that are logged: keys come from code, but a mistake must not fill the memory."""


class UnknownFlag(ProjectError):
    """The project has no such flag."""

    code = "flag_unknown"


class Flags(Functions):
    """The flags of the project. An unknown one is its default, and logged once.

    Parameters
    ----------
    client
        With the project's secret key.
    """

    def __init__(self, client: AsyncClient) -> None:
        super().__init__(client)
        self._answers: OrderedDict[Question, tuple[float, bool | None]] = OrderedDict()
        self._questions: list[Question] = []
        self._request: asyncio.Task[dict[Question, bool | None]] | None = None
        self._logged: set[str] = set()

    async def is_on(self, key: str, user_id: str | None = None, *, default: bool = False) -> bool:
        """Whether a flag is on for a user; without one, for a stranger.

        The default if there is no such flag. If the project does not answer, the last answer, or the default.
        """
        try:
            return await self.evaluate(key, user_id)
        except UnknownFlag:
            return default
        except ProjectError as error:
            log.warning("a flag cannot be read", flag=key, error=str(error))
            known = self._answers.get((key, user_id))
            return default if known is None or known[1] is None else known[1]

    async def evaluate(self, key: str, user_id: str | None = None) -> bool:
        """As `is_on`, but it raises `UnknownFlag`, and `ProjectError` if the project does not answer."""
        asked = self._check(key, user_id)
        known = self._answers.get(asked)
        if known is None or time.monotonic() - known[0] > CACHED_S:
            answered_at = time.monotonic()
            answer = await self._ask(asked)
            self._answers[asked] = known = (answered_at, answer)
            self._answers.move_to_end(asked)
            if len(self._answers) > MAX_ANSWERS:
                self._answers.popitem(last=False)
        if known[1] is None:
            self._log_unknown(key)
            raise UnknownFlag(f"There is no flag {key}.", remedy="Insert it into feature_flags.")
        return known[1]

    def _check(self, key: str, user_id: str | None) -> Question:
        """Refuse what the project would refuse: questions share a request, so it would fail them all."""
        if not KEY.fullmatch(key):
            self._log_unknown(key)
            raise UnknownFlag(
                f"{key!r} is no key of a flag.", remedy="Small letters, digits and underscores."
            )
        try:
            return key, None if user_id is None else str(UUID(user_id))
        except ValueError:
            raise ProjectError(
                f"{user_id!r} is no user's id.", code="flag_user_invalid", remedy="Pass the user's UUID."
            ) from None

    async def _ask(self, question: Question) -> bool | None:
        if self._request is None or len(self._questions) >= MAX_QUESTIONS:
            self._questions = []
            self._request = asyncio.create_task(self._send(self._questions))
        request = self._request
        self._questions.append(question)
        # Others wait for the same request, so whoever is cancelled leaves it alone.
        return (await asyncio.shield(request))[question]

    async def _send(self, questions: list[Question]) -> dict[Question, bool | None]:
        """Ask the project. This begins when everybody who asks at this moment has asked."""
        if questions is self._questions:
            self._request = None
        keys, user_ids = zip(*questions, strict=True)
        answers = await self._call("flags_for", keys=keys, user_ids=user_ids)
        return dict(zip(questions, answers, strict=True))

    def _log_unknown(self, key: str) -> None:
        if key not in self._logged and len(self._logged) < MAX_LOGGED:
            self._logged.add(key)
            log.warning("a flag is not known, its default is used", flag=key)
