"""Functions compiled by numba, their machine code kept on disk for whoever starts next.

Workers, their children and tests start together and share that code. numba counts the files of a function's
signatures, so that two processes that compile different ones at the same moment both write the first: the
index of one then leads to the code of the other, which reads arrays of another type than it is given. Here a
file is named after what it was compiled for. The worst that a race can do is to compile something twice.

numba compiles anew when the file of a function changes. Machine code also holds the functions that it calls
and the constants that it reads, which may come from other files. Here they belong to what must not have
changed.

A read-only installation may bring its code, compiled when an image was built. It is looked for beside the
modules, after the folder that `code_folder` found for new code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.dispatcher import Dispatcher

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass
class CompileCounts:
    """How many functions this process loaded and how many it compiled, each for one signature."""

    loaded: int = 0
    compiled: int = 0


compile_counts = CompileCounts()

# Reassociation lets sums be vectorised. It is decided when the kernel is compiled, so equal input still gives
# bit-equal output on one platform; NaN and infinity keep their meaning.
FASTMATH = frozenset({"reassoc", "contract", "nsz"})


def compiled(*, fastmath: bool | Set[str] = False) -> Callable[[Function], Function]:
    """Compile a function for each combination of argument types that it meets, without the GIL.

    fastmath: which liberties floating point may take, as `numba.njit` has it.
    """

    def decorate(function: Function) -> Function:
        options = fastmath if isinstance(fastmath, bool) else set(fastmath)
        dispatcher = njit(nogil=True, fastmath=options)(function)
        dispatcher._cache = _SharedCache(function, fastmath)
        return cast(Function, dispatcher)

    return decorate


class _SharedCache(FunctionCache):  # type: ignore[misc]
    """numba's own, but for how files are named, and for code that came with the installation."""

    def __init__(self, function: Callable[..., Any], fastmath: bool | Set[str]) -> None:
        super().__init__(function)
        self._function, self._fastmath = function, fastmath
        self._is_stamped = False
        locator = self._impl.locator
        folder = locator.get_cache_path()
        beside = str(Path(function.__code__.co_filename).parent / "__pycache__")
        self._cache_file, self._installed = (
            _NamedFiles(
                cache_path=path,
                filename_base=self._impl.filename_base,
                source_stamp=locator.get_source_stamp(),
            )
            for path in (folder, beside)
        )

    def _load_overload(self, signature: Any, target_context: Any) -> Any:
        self._stamp()
        found = super()._load_overload(signature, target_context)
        if found is None and self._enabled:
            data = self._installed.load(self._index_key(signature, target_context.codegen()))
            found = None if data is None else self._impl.rebuild(target_context, data)
        if found is None:
            compile_counts.compiled += 1
        else:
            compile_counts.loaded += 1
        return found

    def _stamp(self) -> None:
        """Add what the code holds of other files. Not before the first call: then all modules are loaded."""
        if self._is_stamped:
            return
        dependencies = _digest_dependencies(self._function), _describe(self._fastmath)
        for files in (self._cache_file, self._installed):
            files._source_stamp = (files._source_stamp, *dependencies)
        self._is_stamped = True


def _digest_dependencies(function: Callable[..., Any]) -> str:
    """Digest what the machine code of a function holds of other files: functions, and constants by value."""
    found: list[tuple[str, ...]] = []
    seen = set()

    def add(function: Callable[..., Any]) -> None:
        for name in function.__code__.co_names:
            value = function.__globals__.get(name)
            if isinstance(value, Dispatcher):
                if value not in seen:
                    seen.add(value)
                    found.append((name, _describe(value.py_func.__code__), _describe(value.targetoptions)))
                    add(value.py_func)
            elif isinstance(value, int | float | complex | str | tuple | np.generic | np.ndarray):
                found.append((name, _describe(value)))

    add(function)
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _describe(value: object) -> str:
    """Write a value so that equal ones are written alike in every process."""
    if isinstance(value, CodeType):
        return _describe((value.co_code, value.co_names, value.co_consts))
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, dict):
        return repr(sorted((name, _describe(each)) for name, each in value.items()))
    if isinstance(value, set | frozenset):
        return repr(sorted(map(_describe, value)))
    return repr(tuple(map(_describe, value)) if isinstance(value, tuple) else value)


class _NamedFiles(IndexDataCacheFile):  # type: ignore[misc]
    """An index, and a file for each key of it; the file's number is a hash of the key."""

    def save(self, key: tuple[Any, ...], data: Any) -> None:
        name = self._data_name(int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8]))
        # The code first: whoever finds it in the index finds it.
        self._save_data(name, data)
        self._save_index(self._load_index() | {key: name})
