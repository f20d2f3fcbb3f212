"""Take out of an installation what a worker never loads: python trim.py SITE_PACKAGES

Tests of the packages, accelerators of LiteRT and implicit that no processor of a server has, and the symbols
of shared libraries. A library that does not load afterwards is put back as it was: tools that moved its parts
(auditwheel) leave some that cannot be stripped. Prints what each step saved.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NEVER_LOADED = (
    # Graphics cards, and the neural processors of telephones. Their own libraries are not here.
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so",
    "ai_edge_litert/vendors",
    "implicit/gpu/_cuda*.so",
)
LOAD = "import ctypes, sys; ctypes.PyDLL(sys.argv[1])"


def main(site: Path) -> None:
    """Trim, and print what was saved."""
    print(f"tests: {sum(map(remove, sorted(site.rglob('tests')))) / 1e6:.0f} MB")
    found = [path for pattern in NEVER_LOADED for path in site.glob(pattern)]
    print(f"accelerators: {sum(map(remove, found)) / 1e6:.0f} MB")
    print(f"symbols: {sum(map(strip, list_libraries(site))) / 1e6:.0f} MB")


def remove(path: Path) -> int:
    """Remove a file or a folder. Returns its bytes."""
    if path.is_dir():
        size_bytes = sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
        shutil.rmtree(path)
        return size_bytes
    if not path.exists():
        return 0  # below another that is gone
    size_bytes = path.stat().st_size
    path.unlink()
    return size_bytes


def list_libraries(site: Path) -> Iterator[Path]:
    """Yield the shared libraries."""
    for path in sorted(site.rglob("*.so*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def strip(path: Path) -> int:
    """Take the symbols out of a shared library, if it loads without them. Returns the bytes saved."""
    whole = path.with_name(path.name + ".whole")
    shutil.copy2(path, whole)
    done = subprocess.run(["strip", "--strip-unneeded", path], stderr=subprocess.PIPE, check=False)
    saved_bytes = whole.stat().st_size - path.stat().st_size
    # One that could not be loaded before, for want of another library, says nothing: it stays whole.
    if done.returncode != 0 or saved_bytes <= 0 or not loads(path):
        whole.replace(path)
        return 0
    whole.unlink()
    return saved_bytes


def loads(path: Path) -> bool:
    """Whether a new process can load a shared library."""
    return (
        subprocess.run([sys.executable, "-I", "-c", LOAD, path], capture_output=True, check=False).returncode
        == 0
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
