"""Landlock: a process gives up the file system for good, except for the folders it names (landlock(7)).

It needs no privilege, and a kernel from 5.13 on that was built and started with it. The kernel is asked by a
system call, because its list of modules may be hidden in a container. The C library has no wrapper for the
calls. Their numbers are the same on every architecture; their structures are in linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_REG = 1 << 8
_TRUNCATE = 1 << 14
_READ = _READ_FILE | _READ_DIR
# Plain files only: no folders, links, sockets or devices.
_WRITE = _READ | _WRITE_FILE | _REMOVE_FILE | _MAKE_REG | _TRUNCATE
# The rights that a rule on a file may have.
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
# Rights a kernel of this ABI knows: 13, then linking across folders, truncating, ioctl on devices.
_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_RIGHTS_SINCE_5 = (1 << 16) - 1
_BIND_AND_CONNECT_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


def abi() -> int:
    """The ABI version of this kernel; 0 if it has no Landlock."""
    version: int = _libc().syscall(
        ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_RULESET_VERSION)
    )
    return max(version, 0)


class Ruleset:
    """The rules. They are made while the folders can still be opened, and hold from `restrict` on.

    Open descriptors keep their rights.

    Parameters
    ----------
    read
        Folders and files that may be read. Those that do not exist are skipped.
    write
        Folders in which plain files may be read, made, changed and removed.

    Raises
    ------
    OSError
        If the kernel has no Landlock.
    """

    def __init__(self, *, read: Iterable[Path], write: Iterable[Path]) -> None:
        version = abi()
        if version == 0:
            raise OSError("this kernel has no Landlock")
        handled = _RIGHTS_BY_ABI.get(version, _RIGHTS_SINCE_5)
        # A kernel takes a structure that is longer than its own only if the rest of it is zero.
        attributes = struct.pack(
            "QQQ",
            handled,
            _BIND_AND_CONNECT_TCP if version >= 4 else 0,
            _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0,
        )
        self._descriptor = _call(
            _CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)
        )
        try:
            for paths, rights in ((read, _READ), (write, _WRITE)):
                for path in paths:
                    _allow(self._descriptor, path, rights & handled)
        except BaseException:
            os.close(self._descriptor)
            raise

    def restrict(self) -> None:
        """Apply the rules to this thread and whatever it starts. Needs no_new_privs, or privileges.

        From ABI 4 on, no TCP port may be bound or connected to. From ABI 6 on, no signal reaches a process
        outside. Raises `OSError` if the kernel refuses.
        """
        try:
            _call(_RESTRICT_SELF, ctypes.c_int(self._descriptor), ctypes.c_uint32(0))
        finally:
            os.close(self._descriptor)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # what cannot be opened now will not be later
    try:
        if not path.is_dir():
            rights &= _ON_FILES
        # struct landlock_path_beneath_attr is packed.
        rule = struct.pack("=Qi", rights, descriptor)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc().syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
