"""Images that strangers upload: decoded whole, in the child, to see that they are what they say."""

from __future__ import annotations

import struct
from typing import BinaryIO

from soundscape.errors import Refusal

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP", "image/avif": "AVIF"}
"""Media types that the bucket takes, and Pillow's decoder of each. No other decoder is tried."""
MAX_PIXELS = 40_000_000
"""Of all frames together. As RGBA they take 160 MB."""
REMEDY = "Upload a PNG, JPEG, WebP or AVIF image."


def check_image(file: BinaryIO, media_type: str) -> dict[str, int]:
    """Decode every frame of an image.

    Parameters
    ----------
    file
        The image, open for reading.
    media_type
        What it is said to be.

    Returns
    -------
    dict
        `width` and `height` in pixels, and the number of `frames`.

    Raises
    ------
    Refusal
        With code `image_type`, `image_unreadable` or `image_too_large`.
    """
    from PIL import Image

    decoder = FORMATS.get(media_type.partition(";")[0].strip().lower())
    if decoder is None:
        raise Refusal(
            f"Files of the type {media_type[:100]} are no images.", code="image_type", remedy=REMEDY
        )
    try:
        # verify() compares checksums, which decoding may skip. After it the file has to be opened again.
        with Image.open(file, formats=[decoder]) as image:
            _check_size(image.width * image.height)
            image.verify()
        file.seek(0)
        with Image.open(file, formats=[decoder]) as image:
            width, height = image.size
            frames, pixels = 0, 0
            while True:
                pixels += image.width * image.height
                _check_size(pixels)
                image.load()
                frames += 1
                if frames >= getattr(image, "n_frames", 1):
                    return {"width": width, "height": height, "frames": frames}
                image.seek(frames)
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    # What Pillow's decoders raise for bytes that are no image of theirs.
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        LookupError,
        TypeError,
        ArithmeticError,
    ) as error:
        raise Refusal(
            f"The file cannot be decoded as {decoder}, which it is said to be.",
            code="image_unreadable",
            remedy=REMEDY,
        ) from error


def _check_size(pixels: int) -> None:
    if pixels > MAX_PIXELS:
        raise _too_large()


def _too_large() -> Refusal:
    return Refusal(
        f"The image has more than {MAX_PIXELS / 1e6:.0f} million pixels.",
        code="image_too_large",
        remedy="Upload a smaller one.",
    )
