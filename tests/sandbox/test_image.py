"""Images in a child: each format is decoded whole, and what only claims to be an image is refused."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from soundscape.check.people import PNG
from soundscape.errors import Refusal
from soundscape.sandbox.image import FORMATS, MAX_PIXELS, check_image
from soundscape.sandbox.parent import Sandbox
from tests.conftest import ROOT
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

PNG_MARK = b"\x89PNG\r\n\x1a\n"


def picture(name: str, *, size: tuple[int, int] = (64, 48), mode: str = "RGB", frames: int = 1) -> bytes:
    file = io.BytesIO()
    shown = [Image.effect_noise(size, 40 + index).convert(mode) for index in range(frames)]
    if frames == 1:
        shown[0].save(file, name)
    else:
        shown[0].save(file, name, save_all=True, append_images=shown[1:], duration=100)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_png(width: int, height: int) -> bytes:
    """A few kilobytes that say they are this large, and are."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    compressor = zlib.compressobj(9)
    line = bytes(width + 1)
    data = b"".join(compressor.compress(line) for _ in range(height)) + compressor.flush()
    return PNG_MARK + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def animated(count: int, size: tuple[int, int]) -> bytes:
    """Frames that differ by one pixel: together they are large, and the file is small."""
    file = io.BytesIO()
    shown = [Image.new("RGB", size, (index, 0, 0)) for index in range(count)]
    shown[0].save(file, "PNG", save_all=True, append_images=shown[1:], duration=100)
    return file.getvalue()


GOOD = {
    **{f"{name} {mode}": (f"image/{name.lower()}", picture(name, mode=mode))
       for name in ("PNG", "WEBP", "AVIF") for mode in ("RGB", "RGBA")},
    "JPEG": ("image/jpeg", picture("JPEG")),
    "JPEG grey": ("image/jpeg", picture("JPEG", mode="L")),
    "JPEG with a parameter": ("Image/JPEG; charset=x", picture("JPEG")),
    "animated WebP": ("image/webp", picture("WEBP", frames=3)),
    "animated PNG": ("image/png", picture("PNG", frames=3)),
}  # fmt: skip

_damaged = bytearray(picture("PNG"))
_damaged[len(_damaged) // 2] ^= 0xFF
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
HTML = b"<!doctype html><script>alert(1)</script>"
BAD = {
    **{f"{kind} as {media_type}": (media_type, data, "image_unreadable")
       for media_type in FORMATS
       for kind, data in (("SVG", SVG), ("HTML", HTML), ("junk", b"\x00\xff" * 500), ("nothing", b""))},
    **{f"{name} cut off": (media_type, picture(name)[:-200], "image_unreadable")
       for media_type, name in FORMATS.items()},
    **{f"{name} as {media_type}": (media_type, picture(name), "image_unreadable")
       for name in FORMATS.values() for media_type, other in FORMATS.items() if other != name},
    "GIF as PNG": ("image/png", picture("GIF", mode="P"), "image_unreadable"),
    "damaged PNG": ("image/png", bytes(_damaged), "image_unreadable"),
    "only the mark of a PNG": ("image/png", PNG_MARK, "image_unreadable"),
    "HTML behind the mark of a PNG": ("image/png", PNG_MARK + HTML, "image_unreadable"),
    "SVG": ("image/svg+xml", SVG, "image_type"),
    "bomb": ("image/png", huge_png(8_000, 8_000), "image_too_large"),
    "larger bomb": ("image/png", huge_png(20_000, 20_000), "image_too_large"),
    "bomb of frames": ("image/png", animated(50, (1_000, 1_000)), "image_too_large"),
    "header of a bomb": (
        "image/png",
        PNG_MARK
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 6, 0, 0, 0))
        + chunk(b"IDAT", b""),
        "image_too_large",
    ),
}  # fmt: skip


@pytest.fixture
async def sandbox(scratch: Path, no_leaks: None) -> AsyncIterator[Sandbox]:
    box = Sandbox(scratch, task="images")
    await box.start()
    yield box
    await box.stop()


async def test_one_child_decodes_and_refuses(sandbox: Sandbox, tmp_path: Path) -> None:
    """All in one child: none of them ends it, and what follows a refused file is decoded."""
    assert sandbox._process is not None
    first = sandbox._process.pid
    path = tmp_path / "image"
    found: dict[str, str] = {}
    for name, (media_type, data, _) in BAD.items():
        path.write_bytes(data)
        with path.open("rb") as file:
            try:
                await sandbox.check_image(file, media_type=media_type, wall_s=LIMIT_S)
            except Refusal as refusal:
                found[name] = refusal.code if refusal.message and refusal.remedy else "no sentence"
            else:
                found[name] = "decoded"
    assert found == {name: code for name, (_, _, code) in BAD.items()}
    for name, (media_type, data) in GOOD.items():
        path.write_bytes(data)
        with path.open("rb") as file:
            answer = await sandbox.check_image(file, media_type=media_type, wall_s=LIMIT_S)
        frames = 3 if name.startswith("animated") else 1
        assert answer.record == {"width": 64, "height": 48, "frames": frames}, name
        assert list(answer.folder.iterdir()) == []
    assert sandbox._process.pid == first


async def test_the_largest_image_is_decoded(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "image"
    for name in ("PNG", "JPEG"):
        Image.new("RGB", (8_000, MAX_PIXELS // 8_000)).save(path, name)
        with path.open("rb") as file:
            answer = await sandbox.check_image(file, media_type=f"image/{name.lower()}", wall_s=LIMIT_S)
        assert answer.record["width"] * answer.record["height"] == MAX_PIXELS


def test_every_type_of_the_bucket_has_a_decoder() -> None:
    policy = (ROOT / "supabase/policies/bucket_profile_images.sql").read_text()
    listed = policy.partition("array[")[2].partition("]")[0]
    assert {each.strip(" '") for each in listed.split(",")} == set(FORMATS)


def test_what_soundscape_check_uploads_is_an_image() -> None:
    assert check_image(io.BytesIO(PNG), "image/png") == {"width": 1, "height": 1, "frames": 1}
