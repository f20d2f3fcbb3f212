"""Logs: one JSON object per line with ECS field names, or readable lines on a terminal.

The field names are those of the Elastic Common Schema (https://www.elastic.co/docs/reference/ecs). `trace.id`
is the job's: it is the same in every line about the job and in its traces. The log lines of libraries are
treated in the same way. Secrets are never written. Values given to `hide`, and text that looks like a key, a
token or a password, become ***.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from soundscape import __version__

HIDDEN = "***"
ECS_VERSION = "8.17"
_ECS = {
    "event": "message",
    "level": "log.level",
    "timestamp": "@timestamp",
    "logger": "log.logger",
    "error": "error.message",
    "code": "error.code",
    "exception": "error.stack_trace",
}
_MIN_SECRET_CHARS = 8
"""Shorter values are not secrets, and hiding them would spoil other text."""
_MAX_VALUE_CHARS = 32_000
"""Of one value. A stranger's text may be logged, for example a file's tags. It must not fill the disk."""
_LOOKS_SECRET = re.compile(
    # Every repetition is bounded: the time is linear in the length of a line, not quadratic.
    r"(?P<kept>(?i:\bbearer\s{1,8}|\bauthorization\W{1,8}basic\s{1,8})"
    r"|(?i:[?&](?:token|apikey|access_token|refresh_token|secret)=)"
    r"|\b[a-z][a-z0-9+.-]{0,20}://[^\s:/@\"']{0,200}:(?=[^\s/@\"']{1,500}@))"
    r"[^\s&@\"',}]+"
    r"|(?P<named>(?i:\"(?:password|secret|token|api_?key|access_token|refresh_token)\"\s{0,4}:\s{0,4}\"))"
    r"(?:[^\"\\]|\\.){1,4000}"
    r"|\bsb_secret_[\w-]+|\bsbp_\w+|\bwhsec_[\w+/=-]+|\beyJ[\w-]{1,1000}\.[\w-]+(?:\.[\w-]*)?"
)
_hidden: set[str] = set()
_hidden_pattern: re.Pattern[str] | None = None


def hide(values: Iterable[str | None]) -> None:
    """Hide these values in all logs of this process from now on."""
    global _hidden_pattern
    for value in values:
        if value is not None and len(value) >= _MIN_SECRET_CHARS:
            # As it is, and as it is written in a quoted text or a URL.
            _hidden.update((value, repr(value)[1:-1], json.dumps(value)[1:-1], quote(value, safe="")))
    if _hidden:
        longest_first = sorted(_hidden, key=len, reverse=True)
        _hidden_pattern = re.compile("|".join(re.escape(value) for value in longest_first))


def configure(*, level: str = "info", readable: bool | None = None) -> None:
    """Set up logging to standard error.

    Parameters
    ----------
    level
        Lowest level that is written.
    readable
        Lines for people instead of JSON. None: if standard error is a terminal.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    if readable is None:
        readable = sys.stderr.isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_exception,
    ]
    renderers: list[Processor]
    if readable:
        # Not the pretty one, which prints the values of local variables.
        plain = structlog.dev.plain_traceback
        renderers = [_clean_event, structlog.dev.ConsoleRenderer(exception_formatter=plain)]
    else:
        renderers = [_to_ecs, _clean_event, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def _add_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the exception by ECS: type, message, and traceback without local variables."""
    found = event.pop("exc_info", None)
    error = found if isinstance(found, BaseException) else None
    if found is True:
        error = sys.exc_info()[1]
    elif isinstance(found, tuple):
        error = found[1]
    if error is not None:
        event.setdefault("error", str(error))
        event["error.type"] = type(error).__name__
        event["exception"] = "".join(traceback.format_exception(error)).rstrip()
    return event


def _to_ecs(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {_ECS.get(name, name): value for name, value in event.items()} | {
        "ecs.version": ECS_VERSION,
        "service.name": "soundscape",
        "service.version": __version__,
    }


def _clean_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {clean(str(name)): _clean_value(value) for name, value in event.items()}


def _clean_value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {clean(str(name)): _clean_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean_value(inner) for inner in value]
    if isinstance(value, bytes):
        return clean(value.decode(errors="backslashreplace"))
    return clean(str(value))


def clean(text: str) -> str:
    """Hide the secrets in a text and limit its length."""
    if _hidden_pattern is not None:
        text = _hidden_pattern.sub(HIDDEN, text)
    left_out = len(text) - 2 * _MAX_VALUE_CHARS
    # Searched before it is cut: half a token at the end would not be recognised.
    text = _LOOKS_SECRET.sub(
        lambda found: (found["kept"] or found["named"] or "") + HIDDEN, text[: 2 * _MAX_VALUE_CHARS]
    )
    left_out = max(left_out, 0) + len(text) - _MAX_VALUE_CHARS
    return f"{text[:_MAX_VALUE_CHARS]}… and {left_out} characters more" if left_out > 0 else text
