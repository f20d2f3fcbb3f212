"""Logs: structlog, one JSON object a line with ECS field names, or readable lines on a terminal.

Field names are those of the Elastic Common Schema (https://www.elastic.co/docs/reference/ecs); `trace.id` is
the job's, the same in every line about it and in its traces. What libraries log goes the same way. No secret
is ever written: values given to `hide`, and whatever looks like a key, a token or a password, become ***.
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
_LEAST_CHARS = 8
"""Shorter values are no secrets, and hiding them would make holes in every line."""
_MOST_CHARS = 32_000
"""Of one value. Whoever can have text of his own logged, such as a file's tags, must not fill the disk."""
_LOOKS_SECRET = re.compile(
    # Every repetition has an end, so that a long line costs its length and not its square.
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
    """Never write any of these from now on, in the whole process."""
    global _hidden_pattern
    for value in values:
        if value is not None and len(value) >= _LEAST_CHARS:
            # As it is, and as it looks within a quoted text or a URL.
            _hidden.update((value, repr(value)[1:-1], json.dumps(value)[1:-1], quote(value, safe="")))
    if _hidden:
        longest_first = sorted(_hidden, key=len, reverse=True)
        _hidden_pattern = re.compile("|".join(re.escape(value) for value in longest_first))


def configure(*, level: str = "info", readable: bool | None = None) -> None:
    """Set up logging to standard error. `readable` None: lines for people where that is a terminal."""
    number = logging.getLevelNamesMapping()[level.upper()]
    if readable is None:
        readable = sys.stderr.isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _told,
    ]
    renderers: list[Processor]
    if readable:
        # Not the pretty one, which prints the values of local variables.
        plain = structlog.dev.plain_traceback
        renderers = [_cleaned, structlog.dev.ConsoleRenderer(exception_formatter=plain)]
    else:
        renderers = [_to_ecs, _cleaned, structlog.processors.JSONRenderer()]
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


def _told(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The exception in the words of ECS: its type, its message, its traceback without local variables."""
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


def _cleaned(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {clean(str(name)): _without_secrets(value) for name, value in event.items()}


def _without_secrets(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {clean(str(name)): _without_secrets(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_secrets(inner) for inner in value]
    if isinstance(value, bytes):
        return clean(value.decode(errors="backslashreplace"))
    return clean(str(value))


def clean(text: str) -> str:
    """`text` with its secrets hidden, and no longer than a log can bear."""
    if _hidden_pattern is not None:
        text = _hidden_pattern.sub(HIDDEN, text)
    left_out = len(text) - 2 * _MOST_CHARS
    # Looked through before it is cut, so that no half of a token is left at its end.
    text = _LOOKS_SECRET.sub(
        lambda found: (found["kept"] or found["named"] or "") + HIDDEN, text[: 2 * _MOST_CHARS]
    )
    left_out = max(left_out, 0) + len(text) - _MOST_CHARS
    return f"{text[:_MOST_CHARS]}… and {left_out} characters more" if left_out > 0 else text
