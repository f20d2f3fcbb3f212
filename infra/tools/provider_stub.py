"""Terraform providers that know their schemas and nothing else: for `validate`, and `test` with mocks.

    python provider_stub.py providers/*.json -- terraform test

Terraform asks a provider for its schema even where a test mocks it, and the real ones come from a registry
that may be out of reach. A provider that TF_REATTACH_PROVIDERS names runs already: Terraform fetches none.
The messages are those of tfplugin6.proto, written by hand
(https://developer.hashicorp.com/terraform/plugin/terraform-plugin-protocol).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

SERVICE = "/tfplugin6.Provider/"
NO_ANSWER_NEEDED = (
    "ValidateProviderConfig",
    "ValidateResourceConfig",
    "ValidateDataResourceConfig",
    "StopProvider",
)
LIST_BLOCK = 2


def encode_varint(number: int) -> bytes:
    """Encode as Protocol Buffers do, seven bits a byte."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def encode_number(field: int, value: int) -> bytes:
    """Encode a field that is a number, a flag or an enum."""
    return encode_varint(field << 3) + encode_varint(value)


def encode_bytes(field: int, value: bytes) -> bytes:
    """Encode a field that is a text, bytes or a message."""
    return encode_varint(field << 3 | 2) + encode_varint(len(value)) + value


def encode_attribute(name: str, kind: Any, flags: dict[str, bool]) -> bytes:
    """Encode an Attribute: name 1, type 2, required 4, optional 5, computed 6, sensitive 7."""
    numbers = {"required": 4, "optional": 5, "computed": 6, "sensitive": 7}
    message = encode_bytes(1, name.encode()) + encode_bytes(2, json.dumps(kind).encode())
    return message + b"".join(encode_number(numbers[flag], 1) for flag, on in flags.items() if on)


def encode_block(description: dict[str, Any]) -> bytes:
    """Encode a Block: attributes 2, block types 3."""
    message = b""
    for group, flags in (
        ("required", {"required"}),
        ("optional", {"optional"}),
        ("optional_computed", {"optional", "computed"}),
        ("computed", {"computed"}),
    ):
        for name, kind in description.get(group, {}).items():
            on = dict.fromkeys(flags, True) | {"sensitive": name in description.get("sensitive", ())}
            message += encode_bytes(2, encode_attribute(name, kind, on))
    for name, block in description.get("blocks", {}).items():
        nested = (
            encode_bytes(1, name.encode())
            + encode_bytes(2, encode_block(block))
            + encode_number(3, LIST_BLOCK)
        )
        message += encode_bytes(3, nested)
    return message


def encode_schema(description: dict[str, Any]) -> bytes:
    """Encode a Schema, whose block is field 2."""
    return encode_bytes(2, encode_block(description))


def encode_schemas(provider: dict[str, Any]) -> bytes:
    """Encode the answer to GetProviderSchema: provider 1, resources 2, data sources 3."""
    message = encode_bytes(1, encode_schema(provider["provider"]))
    for field, group in ((2, "resources"), (3, "data_sources")):
        for name, description in provider[group].items():
            entry = encode_bytes(1, name.encode()) + encode_bytes(2, encode_schema(description))
            message += encode_bytes(field, entry)
    return message


class Stub(grpc.GenericRpcHandler):
    """Answers GetProviderSchema, and finds every configuration valid."""

    def __init__(self, provider: dict[str, Any]) -> None:
        self._schemas = encode_schemas(provider)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Return the handler of a call; None refuses it."""
        method = details.method.removeprefix(SERVICE)
        if method == "GetProviderSchema":
            return grpc.unary_unary_rpc_method_handler(lambda *_: self._schemas)
        if method in NO_ANSWER_NEEDED:
            return grpc.unary_unary_rpc_method_handler(lambda *_: b"")
        return None


def main(arguments: list[str]) -> int:
    """Serve the providers while a command runs; returns its exit status."""
    split = arguments.index("--")
    paths, command = arguments[:split], arguments[split + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        servers, attached = [], {}
        for path in map(Path, paths):
            provider = json.loads(path.read_text())
            address = f"{folder}/{path.stem}"
            server = grpc.server(ThreadPoolExecutor(4), handlers=[Stub(provider)])
            server.add_insecure_port(f"unix://{address}")
            server.start()
            servers.append(server)
            attached[provider["address"]] = {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": os.getpid(),
                "Test": True,
                "Addr": {"Network": "unix", "String": address},
            }
        try:
            environment = os.environ | {"TF_REATTACH_PROVIDERS": json.dumps(attached)}
            return subprocess.run(command, env=environment, check=False).returncode
        finally:
            for server in servers:
                server.stop(None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
