"""The protocol as an AsyncAPI document, made from the models of the messages.

    python -m soundscape.live.asyncapi > docs/live.asyncapi.json

A test holds the file in docs/ against this.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from soundscape import __version__
from soundscape.live import endings
from soundscape.live.answers import ANSWERS
from soundscape.live.requests import REQUESTS

_REF = "#/components/schemas/{model}"


def describe() -> dict[str, Any]:
    """Describe the protocol: https://www.asyncapi.com/docs/reference/specification/v3.0.0."""
    models: list[type[BaseModel]] = [*REQUESTS, *ANSWERS]
    _, definitions = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    codes = "\n".join(
        f"* {ending.code} `{ending.name}`: {ending.sentence}" for ending in (*endings.ALL, endings.TOO_BIG)
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "SoundScape live listening",
            "version": __version__,
            "description": "Sound to numbers, while it sounds. Close codes:\n\n" + codes,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "worker": {"host": "localhost:8000", "protocol": "ws", "description": "`soundscape dev`."}
        },
        "channels": {
            "live": {
                "address": "/api/live",
                "description": "The first message of a client is start or resume. Sound follows as binary "
                "messages, with other requests between them.",
                "messages": {
                    _name(model): {"$ref": f"#/components/messages/{_name(model)}"} for model in models
                }
                | {"sound": {"$ref": "#/components/messages/sound"}},
            }
        },
        "operations": {
            "send": _operation("receive", "What a client sends.", [*_names(REQUESTS), "sound"]),
            "answer": _operation("send", "What the worker answers.", _names(ANSWERS)),
        },
        "components": {
            "messages": {_name(model): _message(model) for model in models}
            | {
                "sound": {
                    "name": "sound",
                    "contentType": "application/octet-stream",
                    "summary": "Sound in the format of start: 10 to 200 ms, or what MediaRecorder gives.",
                    "payload": {"type": "string", "format": "binary"},
                }
            },
            "schemas": definitions["$defs"],
        },
    }


def _name(model: type[BaseModel]) -> str:
    # One of each name: an answer and a request never share their type.
    return str(model.model_fields["type"].annotation.__args__[0])  # type: ignore[union-attr]


def _names(models: Sequence[type[BaseModel]]) -> list[str]:
    return [_name(model) for model in models]


def _message(model: type[BaseModel]) -> dict[str, Any]:
    summary = (model.__doc__ or "").strip()
    return {"name": _name(model), "summary": summary, "payload": {"$ref": _REF.format(model=model.__name__)}}


def _operation(action: str, summary: str, names: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/live"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/live/messages/{name}"} for name in names],
    }


def render() -> str:
    """The document as text."""
    return json.dumps(describe(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
