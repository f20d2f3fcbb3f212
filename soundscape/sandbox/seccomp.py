"""The system calls of an analysis child: those that read, write and compute.

A classic BPF program for seccomp (seccomp(2), linux/seccomp.h). It is assembled here because there is no
wheel of libseccomp. It refuses with EPERM what analysis never does and an intruder would: other processes,
programs, sockets, signals, shared memory, limits of others, file modes and owners, mounts, keys, and the
calls through which kernels have most often been attacked. Calls newer than the list answer ENOSYS, as an
older kernel would.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_TSYNC = 1
_RET_ALLOW = 0x7FFF_0000
_RET_ERRNO = 0x0005_0000
_RET_KILL_PROCESS = 0x8000_0000
_CLONE_THREAD = 0x0001_0000
# struct seccomp_data: nr, arch, instruction pointer, six arguments. Their low halves, little-endian.
_NUMBER, _ARCH, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NEWEST_KNOWN = 462  # mseal, Linux 6.10; numbers are the same on every architecture since 424

_MACHINES = {
    # machine: (AUDIT_ARCH, number of seccomp, column of the table below)
    "x86_64": (0xC000_003E, 317, 0),
    "aarch64": (0xC000_00B7, 277, 1),
}
# Numbers on x86_64 and aarch64 (asm/unistd_64.h, asm-generic/unistd.h); None where there is no such call.
REFUSED: dict[str, tuple[int | None, int | None]] = {
    # other processes and programs
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "unshare": (272, 97),
    "setns": (308, 268),
    # signals
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    # sockets; the one to the worker is open already. A datagram socket of a pair could send to any path
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    # memory that outlives the process or is counted by no limit, and messages to others
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmdt": (67, 197),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # what Landlock does not cover: modes, owners, times and attributes of files
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "open_by_handle_at": (304, 265),
    # mounts
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    # the machine and the kernel itself
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "personality": (135, 92),
    # the processor time of others
    "setpriority": (141, 140),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "ioprio_set": (251, 30),
}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_TGKILL, _PRLIMIT64, _PRCTL = (234, 131), (302, 261), (157, 167)
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_FCNTL, _IOCTL = (72, 25), (16, 29)
# These name a process to be signalled when a descriptor becomes readable: any of the same user.
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 8, 10, 15
_FIOSETOWN, _SIOCSPGRP = 0x8901, 0x8902


def make_program(machine: str, pid: int) -> bytes:
    """Make the filter for process `pid`, an array of struct sock_filter."""
    arch, _, column = _MACHINES[machine]
    refuse = _instruction(_RETURN, _RET_ERRNO | errno.EPERM)
    unknown = _instruction(_RETURN, _RET_ERRNO | errno.ENOSYS)
    allow = _instruction(_RETURN, _RET_ALLOW)
    lines = [
        _instruction(_LOAD, _ARCH),
        _instruction(_JUMP_EQUAL, arch, if_true=1),
        # Calls with the numbers of another architecture, for example 32-bit calls.
        _instruction(_RETURN, _RET_KILL_PROCESS),
        _instruction(_LOAD, _NUMBER),
        _instruction(_JUMP_AT_LEAST, _NEWEST_KNOWN + 1, if_false=1),
        unknown,
        # The C library then uses clone, whose flags a filter can read.
        _instruction(_JUMP_EQUAL, _CLONE3[column], if_false=1),
        unknown,
    ]
    for number in (numbers[column] for numbers in REFUSED.values()):
        if number is not None:
            lines += [_instruction(_JUMP_EQUAL, number, if_false=1), refuse]
    for number, test, value in (
        (_CLONE[column], _JUMP_ANY_BIT, _CLONE_THREAD),  # threads, but no processes
        (_TGKILL[column], _JUMP_EQUAL, pid),  # abort() signals the process itself
        (_PRLIMIT64[column], _JUMP_EQUAL, 0),  # setrlimit is prlimit of process 0, oneself
    ):
        lines += [
            _instruction(_JUMP_EQUAL, number, if_false=4),
            _instruction(_LOAD, _FIRST_ARGUMENT),
            _instruction(test, value, if_true=1),
            refuse,
            allow,
        ]
    for number, argument, values in (
        # What `confine` has set: the child ends with the worker and is hidden from others of its user.
        (_PRCTL[column], _FIRST_ARGUMENT, (_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE)),
        (_FCNTL[column], _SECOND_ARGUMENT, (_F_SETOWN, _F_SETSIG, _F_SETOWN_EX)),
        (_IOCTL[column], _SECOND_ARGUMENT, (_FIOSETOWN, _SIOCSPGRP)),
    ):
        lines += [
            _instruction(_JUMP_EQUAL, number, if_false=len(values) + 3),
            _instruction(_LOAD, argument),
            *(_instruction(_JUMP_EQUAL, each, if_true=len(values) - at) for at, each in enumerate(values)),
            allow,
            refuse,
        ]
    return b"".join([*lines, allow])


def install() -> None:
    """Install the filter on every thread of this process. Needs no_new_privs.

    This cannot be undone. Raises `OSError` if the kernel or the machine does not support it.
    """
    machine = platform.machine()
    if machine not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no list of calls for {machine}")
    code = make_program(machine, os.getpid())
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: the number of instructions and where they are.
    described = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(
        ctypes.c_long(_MACHINES[machine][1]),
        ctypes.c_uint(_SECCOMP_SET_MODE_FILTER),
        ctypes.c_uint(_SECCOMP_FILTER_FLAG_TSYNC),
        described,
    )
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")


def _instruction(code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    """struct sock_filter: code, how far to jump if true and if false, value."""
    return struct.pack("HBBI", code, if_true, if_false, value)
