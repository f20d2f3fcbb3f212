"""The AcoustID string, where libchromaprint is installed.

AcoustID (acoustid.org) identifies published music from a Chromaprint fingerprint of the first two
minutes. The library is optional and found at run time; nothing of ours depends on it. The string is that
of `fpcalc -plain` for the same 16-bit samples.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

LENGTH_S = 120
"""How much of a recording AcoustID looks at."""

_NOTHING = "AQAAAA"  # the fingerprint of fewer than about three seconds: none at all

_ALGORITHM = 1  # CHROMAPRINT_ALGORITHM_DEFAULT, the only one acoustid.org takes


@dataclass(frozen=True)
class AcoustId:
    """`fingerprint` is None where `library` is: libchromaprint is absent, or where there was too little."""

    fingerprint: str | None
    library: str | None


@lru_cache(maxsize=1)
def library() -> Any | None:
    """libchromaprint through ctypes, or None where it is not installed."""
    name = ctypes.util.find_library("chromaprint")
    for candidate in (name, "libchromaprint.so.1", "libchromaprint.1.dylib"):
        if candidate is None:
            continue
        try:
            found = ctypes.CDLL(candidate)
        except OSError:
            continue
        found.chromaprint_get_version.restype = ctypes.c_char_p
        found.chromaprint_new.restype = ctypes.c_void_p
        found.chromaprint_new.argtypes = [ctypes.c_int]
        found.chromaprint_free.argtypes = [ctypes.c_void_p]
        found.chromaprint_start.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
        found.chromaprint_feed.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
        found.chromaprint_finish.argtypes = [ctypes.c_void_p]
        found.chromaprint_get_fingerprint.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
        found.chromaprint_dealloc.argtypes = [ctypes.c_void_p]
        return found
    return None


class AcoustIdMeter:
    """Feed blocks of the recording as decoded; `result()` gives its AcoustID fingerprint."""

    def __init__(self, *, sample_rate: int, channels: int) -> None:
        self._library = library()
        self._left = LENGTH_S * sample_rate
        self._context: int | None = None
        if self._library is not None:
            self._context = self._library.chromaprint_new(_ALGORITHM)
            if not self._library.chromaprint_start(self._context, sample_rate, channels):
                self._left = 0

    def push(self, block: npt.NDArray[np.float32]) -> None:
        """Take samples, float32, shape (channels, n). Those after the first two minutes cost nothing."""
        if self._library is None or self._left <= 0:
            return
        part = block[:, : self._left]
        self._left -= part.shape[1]
        samples = np.ascontiguousarray(np.clip(np.rint(part.T * 32768.0), -32768, 32767), np.int16)
        self._library.chromaprint_feed(self._context, samples.ctypes.data, samples.size)

    def result(self) -> AcoustId:
        """The fingerprint of what was pushed. The meter is spent afterwards."""
        if self._library is None:
            return AcoustId(None, None)
        version = self._library.chromaprint_get_version().decode()
        text: str | None = None
        if self._context is not None:
            pointer = ctypes.c_void_p()
            if self._library.chromaprint_finish(self._context) and self._library.chromaprint_get_fingerprint(
                self._context, ctypes.byref(pointer)
            ):
                text = ctypes.string_at(pointer.value).decode() if pointer.value else None
                text = None if text == _NOTHING else text
                self._library.chromaprint_dealloc(pointer)
            self._close()
        return AcoustId(text, version)

    def _close(self) -> None:
        if self._library is not None and self._context is not None:
            self._library.chromaprint_free(self._context)
            self._context = None
        self._left = 0

    def __del__(self) -> None:
        self._close()
