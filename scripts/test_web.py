"""Drive the example frontend's journeys in Chromium, against an embedded project of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import web

BUILD_FOLDER = ".next-test"
START_TIMEOUT_S = 120


def main(arguments: list[str]) -> int:
    """Start everything on free ports and run node's test runner; returns its exit status."""
    chromium = find_chromium()
    with tempfile.TemporaryDirectory(prefix="soundscape-test-web-") as folder:
        # As root, Postgres runs under another uid and must be able to pass through.
        Path(folder).chmod(0o711)
        data_dir = Path(folder) / "project"
        with web.project(data_dir, free_port()):
            text = web.environment(data_dir)
            assert text is not None
            settings = web.parsed(text)
            web.install()
            web.build(settings, BUILD_FOLDER)
            port = free_port()
            with web.frontend(settings, port, folder=BUILD_FOLDER):
                site = f"http://127.0.0.1:{port}"
                wait_for(site)
                environment = web.node_environment(
                    {"SOUNDSCAPE_SITE_URL": site, "SOUNDSCAPE_CHROMIUM": chromium}
                )
                command = [str(web.NODE), "--test", "--test-reporter=spec", *arguments]
                tests = sorted(str(path) for path in (web.FRONTEND / "tests").glob("*.test.ts"))
                return subprocess.run(
                    [*command, *tests], cwd=web.FRONTEND, env=environment, check=False
                ).returncode


def find_chromium() -> str:
    """Chromium's path. As root on Debian it is installed where it is missing."""
    name = os.environ.get("SOUNDSCAPE_CHROMIUM", "chromium")
    if shutil.which(name) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing Chromium …", flush=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=True)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
            env=environment, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    path = shutil.which(name)
    if path is None:
        raise SystemExit("Chromium is not here. Install it, or name it by SOUNDSCAPE_CHROMIUM.")
    return path


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_for(site: str) -> None:
    """Return when the frontend answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not web.answers(site):
        if time.monotonic() > deadline:
            raise SystemExit("The frontend does not start.")
        time.sleep(0.3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
