"""Logs: structlog, one JSON object a line with ECS field names, or readable lines on a terminal."""

from __future__ import annotations

import logging
import sys

import structlog

_ECS = {"event": "message", "level": "log.level", "timestamp": "@timestamp", "logger": "log.logger"}


def configure(*, level: str = "info", readable: bool | None = None) -> None:
    """Set up logging to standard error. `readable` None: lines for people where that is a terminal."""
    number = logging.getLevelNamesMapping()[level.upper()]
    if readable is None:
        readable = sys.stderr.isatty()
    renderers: list[structlog.typing.Processor]
    if readable:
        renderers = [structlog.dev.ConsoleRenderer()]
    else:
        renderers = [structlog.processors.format_exc_info, _to_ecs, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr, force=True)


def _to_ecs(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return {_ECS.get(name, name): value for name, value in event.items()} | {"service.name": "soundscape"}
