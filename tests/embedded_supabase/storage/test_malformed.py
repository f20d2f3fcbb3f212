"""Whatever is sent: no 500, a service that goes on, and nothing outside the data directory."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedded_supabase.storage.downloads import parse_range
from embedded_supabase.storage.errors import StorageError
from embedded_supabase.storage.names import check_key, check_mime_type, parse_size
from embedded_supabase.storage.tus import parse_metadata
from tests.waiting import LIMIT_S

from .conftest import Project

BUCKET = "st-private"
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Bytes a header may carry on the wire.
header_text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60).map(str.strip)
key_text = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(["..", ".", "", "a", "~", "%2e%2e", "\\", "etc", "passwd", "con"])).map(
        "/".join
    ),
)


@pytest.fixture(scope="module")
def client(project: Project) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=project.url, timeout=LIMIT_S) as client:
        yield client


def outside(project: Project) -> set[Path]:
    """Everything in the data directory and around it that is not Storage's own."""
    root = project.embedded.data_dir
    above = {*root.parent.iterdir(), *root.parent.parent.iterdir()}
    return above | {path for path in root.rglob("*") if project.folder not in path.parents}


@SLOW
@given(key=key_text, body=st.binary(max_size=50))
def test_names_never_leave_the_data_directory(
    project: Project, client: httpx.Client, key: str, body: bytes
) -> None:
    before, stored = outside(project), project.on_disk()
    path = f"/object/{BUCKET}/{quote(key, safe='', errors='replace')}"
    headers = project.service | {"x-upsert": "true"}
    answer = client.post(path, content=body, headers=headers)
    assert answer.status_code in (200, 400, 404), answer.text
    assert outside(project) == before
    if answer.status_code == 200:
        (new,) = project.on_disk() - stored
        assert new == project.version(BUCKET, answer.json()["Key"].partition("/")[2])
        assert client.get(path, headers=headers).content == body
        # Each run begins without the object, so that its version is a new one.
        assert client.delete(path, headers=headers).status_code == 200
        assert project.on_disk() == stored


@SLOW
@given(body=st.binary(max_size=300), boundary=header_text, head=st.binary(max_size=80))
def test_malformed_multipart(
    project: Project, client: httpx.Client, body: bytes, boundary: str, head: bytes
) -> None:
    for content_type, sent in [
        (f"multipart/form-data; boundary={boundary}", body),
        ("multipart/form-data; boundary=B", b"--B\r\n" + head + b"\r\n\r\n" + body + b"\r\n--B--\r\n"),
        (
            "multipart/form-data; boundary=B",
            b'--B\r\nContent-Disposition: form-data; name="f"; filename="' + head + b'"\r\n\r\n' + body,
        ),
        (
            "multipart/form-data; boundary=B",
            b'--B\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n'
            + body
            + b'\r\n--B\r\nContent-Disposition: form-data; name=""; filename="b"\r\n\r\nx\r\n--B--\r\n',
        ),
    ]:
        headers = project.service | {"content-type": content_type, "x-upsert": "true"}
        answer = client.post(f"/object/{BUCKET}/form", content=sent, headers=headers)
        assert answer.status_code in (200, 400), answer.text
    assert not list((project.folder / "incoming").iterdir())


@SLOW
@given(
    method=st.sampled_from(["POST", "PATCH", "HEAD", "DELETE", "OPTIONS", "GET", "PUT"]),
    headers=st.dictionaries(
        st.sampled_from([
            "tus-resumable", "upload-length", "upload-offset", "upload-metadata", "upload-defer-length",
            "content-type", "x-signature", "x-upsert", "upload-concat", "x-http-method-override",
        ]),
        st.one_of(header_text, st.sampled_from(["1.0.0", "0", "5", "1", "application/offset+octet-stream"])),
    ),
    identifier=st.one_of(
        st.none(), header_text, st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    ),
    signed=st.booleans(),
    body=st.binary(max_size=30),
)  # fmt: skip
def test_malformed_resumable_requests(
    project: Project, client: httpx.Client, method: str, headers: dict[str, str],
    identifier: str | None, signed: bool, body: bytes,
) -> None:  # fmt: skip
    url = "/upload/resumable" + ("/sign" if signed else "")
    if identifier is not None:
        url += f"/{quote(identifier, safe='')}"
    answer = client.request(method, url, headers=project.service | headers, content=body)
    assert answer.status_code < 500, answer.text


json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
        st.sampled_from(["\x00", "\ud800", "asc", "name", "..", "1"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip
FIELDS = [
    "prefix", "limit", "offset", "sortBy", "search", "cursor", "with_delimiter", "prefixes", "paths",
    "expiresIn",
    "bucketId", "sourceKey", "destinationKey", "destinationBucket", "copyMetadata", "metadata", "name", "id",
]  # fmt: skip


@SLOW
@given(
    route=st.sampled_from([
        ("POST", "/object/list/st-private"), ("POST", "/object/list-v2/st-private"),
        ("DELETE", "/object/st-private"), ("POST", "/object/sign/st-private"),
        ("POST", "/object/sign/st-private/form"), ("POST", "/object/move"), ("POST", "/object/copy"),
        ("PUT", "/bucket/st-nowhere"),
    ]),
    body=st.dictionaries(st.sampled_from(FIELDS), json_values),
)  # fmt: skip
def test_malformed_json(
    project: Project, client: httpx.Client, route: tuple[str, str], body: dict[str, object]
) -> None:
    answer = client.request(
        route[0],
        route[1],
        content=json.dumps(body),
        headers=project.headers() | {"content-type": "application/json"},
    )
    assert answer.status_code in (200, 400), answer.text


@pytest.mark.parametrize(
    "body", [b"{", b"[" * 100_000, b'{"prefix": NaN}', b"\xff", b'{"prefix":"\\u0000"}', b"1" * 5000]
)
def test_bodies_that_are_no_json(project: Project, client: httpx.Client, body: bytes) -> None:
    answer = client.post("/object/list/st-private", content=body, headers=project.service)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidRequest")


@SLOW
@given(
    headers=st.dictionaries(
        st.sampled_from(
            [
                "x-metadata",
                "content-type",
                "cache-control",
                "range",
                "if-none-match",
                "if-modified-since",
                "x-upsert",
            ]
        ),
        header_text,
    )
)
def test_malformed_headers(project: Project, client: httpx.Client, headers: dict[str, str]) -> None:
    upload = project.service | {"content-type": "text/plain"} | headers | {"x-upsert": "true"}
    answer = client.post(f"/object/{BUCKET}/headers", content=b"x", headers=upload)
    assert answer.status_code in (200, 400), answer.text
    client.post(f"/object/{BUCKET}/headers", content=b"x", headers=project.service | {"x-upsert": "true"})
    answer = client.get(f"/object/{BUCKET}/headers", headers=project.service | headers)
    assert answer.status_code in (200, 206, 304, 416), answer.text


@pytest.mark.parametrize("levels", [90, 101, 210, 300, *range(950, 965)])
def test_metadata_nested_deeply(project: Project, client: httpx.Client, levels: int) -> None:
    """Malformed metadata is ignored; an upload that is begun can go on."""
    metadata = '{"x":' * levels + "1" + "}" * levels
    coded = base64.b64encode(metadata.encode()).decode()
    headers = project.service | {"x-upsert": "true"}
    path, file = f"/object/{BUCKET}/deep", {"file": ("f", b"x", "text/plain")}
    assert client.post(path, files=file, data={"metadata": metadata}, headers=headers).status_code == 200
    assert client.post(path, content=b"x", headers=headers | {"x-metadata": coded}).status_code == 200
    kept = client.get(f"/object/info/{BUCKET}/deep", headers=headers).json()["metadata"]
    assert kept == (json.loads(metadata) if levels < 100 else {})

    named = {"bucketName": BUCKET, "objectName": "deep", "metadata": metadata}
    pairs = (f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in named.items())
    headers |= {"tus-resumable": "1.0.0", "upload-length": "1", "upload-metadata": ",".join(pairs)}
    created = client.post("/upload/resumable", headers=headers)
    assert created.status_code == 201, created.text
    assert client.head(created.headers["location"], headers=headers).status_code == 200


# -- the pure parts -----------------------------------------------------------------------------------


@given(st.text())
def test_keys_are_ascii_or_refused(key: str) -> None:
    if _refusal(lambda: check_key(key)) is None:
        assert key.isascii()


@given(header=st.text(max_size=30), size=st.integers(0, 50))
def test_ranges_lie_within(header: str, size: int) -> None:
    found: list[tuple[int, int] | None] = []
    refusal = _refusal(lambda: found.append(parse_range({"range": header}, size=size, etag='"e"')))
    assert refusal in (None, "InvalidRange")
    for wanted in found:
        assert wanted is None or 0 <= wanted[0] < wanted[1] <= size


@given(st.one_of(st.text(), st.lists(st.text(max_size=8)).map(",".join)))
def test_upload_metadata(header: str) -> None:
    assert _refusal(lambda: parse_metadata(header)) in (None, "InvalidRequest")


def _refusal(call: Callable[[], object]) -> str | None:
    """The code of what `call` refuses; any other exception is the test's to report."""
    try:
        call()
    except StorageError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("text", "size"),
    [("50MiB", 50 << 20), ("2GiB", 2 << 30), ("20MB", 20_000_000), ("1.5KB", 1500), ("3B", 3), ("7", 7)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("mime_type", "allowed", "fits"),
    [
        ("audio/mpeg", None, True),
        ("audio/mpeg", [], True),
        ("audio/mpeg", ["audio/*"], True),
        ("Audio/MPEG; x=y", ["audio/mpeg"], True),
        ("audio/mpeg", ["*"], True),
        ("audio/mpeg", ["audio/ogg", "video/*"], False),
        ("audio", ["audio/*"], False),
        ("", ["audio/*"], False),
    ],
)
def test_media_types(mime_type: str, allowed: list[str] | None, fits: bool) -> None:
    refusal = _refusal(lambda: check_mime_type(mime_type, allowed))
    assert refusal == (None if fits else "InvalidMimeType")
