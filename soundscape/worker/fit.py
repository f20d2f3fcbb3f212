"""The worker's place in the project: it says how new it is, and works only with a schema that fits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from soundscape.errors import ProjectError
from soundscape.project.schema import Fit, Schema, read_newest_migration
from soundscape.worker.readiness import Check

log = structlog.get_logger(__name__)

INTERVAL_S = 60.0
UNFIT_INTERVAL_S = 10.0
"""While it does not fit: somebody deploys."""
UNKNOWN_INTERVAL_S = 1.0
"""Before the first answer."""

MESSAGES: dict[Fit, str] = {
    "schema_too_old": "The project's schema is older than this worker. "
    "Run `soundscape deploy` of the worker's version.",
    "worker_too_old": "This worker is older than the project's schema can serve. "
    "Start a worker of the version that was deployed.",
}


class SchemaFit:
    """Registers the worker again and again, until it is cancelled.

    Parameters
    ----------
    schema
        The project's.
    worker
        Its name.
    on_fit
        Called when the worker fits and did not before.
    """

    def __init__(self, schema: Schema, worker: str, *, on_fit: Callable[[], None]) -> None:
        self._schema = schema
        self._worker = worker
        self._on_fit = on_fit
        self._migration = read_newest_migration()
        self._found: Fit | None = None

    @property
    def may_work(self) -> bool:
        """Whether the schema is known to fit."""
        return self._found == "ok"

    def make_check(self) -> Check:
        """Make the check `schema` of readiness."""
        if self._found is None:
            return Check("failed", "not asked yet")
        if self._found == "ok":
            return Check("ok")
        return Check("failed", MESSAGES[self._found], code=self._found)

    async def run(self) -> None:
        """Register once a minute, and sooner while there is no fit."""
        while True:
            try:
                found = await self._schema.register(self._worker, self._migration)
            except ProjectError as error:
                # What was known holds until there is another answer.
                log.warning("the worker could not be registered", error=str(error))
            except Exception:
                # A strange response must not end the loop: a deploy may be half done.
                log.exception("the answer to the registration cannot be read")
            else:
                self._note(found)
            if self._found is None:
                await asyncio.sleep(UNKNOWN_INTERVAL_S)
            else:
                await asyncio.sleep(INTERVAL_S if self.may_work else UNFIT_INTERVAL_S)

    def _note(self, found: Fit) -> None:
        before, self._found = self._found, found
        if found == before:
            return
        if found == "ok":
            self._on_fit()
        else:
            log.error(MESSAGES[found], **{"error.code": found})
