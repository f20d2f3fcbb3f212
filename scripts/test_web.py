"""Drive the example frontend's journeys in real browsers, against an embedded project of their own.

`--serve` starts everything, prints the environment of the journeys and waits: for working on one journey.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import web
from journeys import find_journeys, run_journeys

sys.path.insert(0, str(web.ROOT))
from embedded_supabase.keys import Keys
from soundscape.cli.env import for_next
from tests.web import pushes

BUILD_FOLDER = ".next-test"
MEMORY = web.ROOT / ".soundscape" / "test-web"
"""What the next run takes over from this one."""
START_TIMEOUT_S = 600
PORTS = range(20_000, 32_000)
"""The kernel takes higher ones for connections: one could have the project's while it restarts."""
PICTURES = web.ROOT / "docs" / "pictures"
PICTURE_SCRIPTS = ["tutorial", "screens"]
PACKAGES = {"chromium": "chromium", "firefox": "firefox-esr"}
CORES = os.cpu_count() or 1


def main() -> int:
    """Start everything on free ports and run the journeys; returns the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser(prog="scripts/test-web", description=__doc__)
    parser.add_argument(
        "journeys", nargs="*", help="numbers or beginnings of names, such as 2; all without any"
    )
    parser.add_argument("--browser", choices=PACKAGES, action="append", help="only in this browser")
    parser.add_argument("--jobs", type=int, default=min(3, CORES), help=f"journeys at once ({min(3, CORES)})")
    parser.add_argument("--serve", action="store_true", help="run no journey, but what they run against")
    parser.add_argument("--dev", action="store_true", help="hot reload instead of a build")
    parser.add_argument("--lighthouse", action="store_true", help="run no journey, but Lighthouse")
    parser.add_argument("--pictures", action="store_true", help="run no journey, but take docs/pictures")
    parser.add_argument(
        "--skip-missing",
        action="store_true",
        help="where a browser or the npm packages are missing and cannot be installed, say so and succeed",
    )
    options, node_options = parser.parse_known_args()
    started = time.monotonic()
    scripts = ["lighthouse"] if options.lighthouse else PICTURE_SCRIPTS if options.pictures else []
    wanted = ["chromium"] if scripts else options.browser or list(PACKAGES)
    paths = find_browsers(wanted)
    try:
        missing = [browser for browser in wanted if browser not in paths]
        for browser in missing:
            skip(
                f"the journeys in {browser}: {PACKAGES[browser]} is not here and cannot be installed", options
            )
        if not paths:
            return 0
        install_packages(options)
    except Skipped:
        return 0
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="soundscape-test-web-")))
        # As root, Postgres runs under another uid and must be able to pass through.
        folder.chmod(0o711)
        environment = running.enter_context(everything(folder / "project", is_dev=options.dev))
        for browser, path in paths.items():
            environment[f"SOUNDSCAPE_{browser.upper()}"] = path
        if options.serve:
            names = [name for name in environment if name not in os.environ or name == "PATH"]
            print("\n".join(f"export {name}='{environment[name]}'" for name in names), flush=True)
            threading.Event().wait()
        if scripts:
            environment["SOUNDSCAPE_PICTURES"] = str(PICTURES)
            commands = [[str(web.NODE), f"tests/{script}.ts", *node_options] for script in scripts]
            runs = [subprocess.run(each, cwd=web.FRONTEND, env=environment, check=False) for each in commands]
            # A script that a signal ended has a negative status.
            return int(any(run.returncode != 0 for run in runs))
        print(f"Started and built after {time.monotonic() - started:.0f} s.\n", flush=True)
        found = find_journeys(paths, options.journeys)
        # The build did not check them.
        check = [str(web.NODE), str(web.TSC), "--noEmit", "--project"]
        types = [subprocess.Popen([*check, folder], cwd=web.FRONTEND) for folder in (".", "tests")]
        for process in types:
            running.callback(process.wait)
            running.callback(process.terminate)
        is_good = run_journeys(found, jobs=options.jobs, node_options=node_options, environment=environment)
        if any(process.wait() != 0 for process in types):
            print("failed: the types of examples/nextjs")
            is_good = False
    print(f"It took {time.monotonic() - started:.0f} s in all.")
    return 0 if is_good else 1


class Skipped(Exception):
    """Nothing can be tested here, and the caller said that this is no failure."""


def skip(what: str, options: argparse.Namespace) -> None:
    """Say what cannot be tested here. It is a failure unless --skip-missing allows it."""
    if not options.skip_missing:
        raise SystemExit(f"Cannot run {what}.")
    print(f"SKIPPED: {what}.", flush=True)


def install_packages(options: argparse.Namespace) -> None:
    """Install the frontend's npm packages. Raises `Skipped` where npm reaches no registry and may skip."""
    try:
        web.install()
    except web.RegistryUnreachableError as error:
        skip(f"any journey: npm cannot install the frontend's packages ({error})", options)
        raise Skipped from error


@contextmanager
def everything(data_dir: Path, *, is_dev: bool) -> Iterator[dict[str, str]]:
    """Run a project, the frontend on it, and what restarts the project; yields the journeys' environment."""
    with ExitStack() as running:
        port, project_port = get_ports(MEMORY)
        site = f"http://127.0.0.1:{port}"
        keys = keep_keys(MEMORY, data_dir)
        service = running.enter_context(pushes.serve_pushes(data_dir.parent))
        project = Project(data_dir, project_port, {"SOUNDSCAPE_SITE_URL": site} | service.settings)
        running.callback(project.stop)
        starting = running.enter_context(ThreadPoolExecutor(1)).submit(project.start)
        url = project.url
        public = {
            "SUPABASE_URL": url,
            "SUPABASE_PUBLISHABLE_KEY": keys.publishable_key,
            "SOUNDSCAPE_WORKER_URL": url,
        }
        settings = for_next(public) | {
            "NEXT_PUBLIC_AUTH_PROVIDERS": "google",
            "NEXT_PUBLIC_SITE_URL": site,
        }
        if not is_dev:
            web.build(settings, BUILD_FOLDER)
        starting.result()
        command = "dev" if is_dev else "start"
        running.enter_context(web.frontend(settings, port, command=command, folder=BUILD_FOLDER))
        wait_for(site)
        control = running.enter_context(controlled(project, service))
        built = {} if is_dev else {"SOUNDSCAPE_BUILD_FOLDER": str(web.FRONTEND / BUILD_FOLDER)}
        yield web.node_environment(
            built
            | {
                "SOUNDSCAPE_SITE_URL": site,
                "SOUNDSCAPE_CONTROL_URL": control,
                "SOUNDSCAPE_PUSH_PREFERENCES": json.dumps(service.preferences),
                "SUPABASE_URL": settings["NEXT_PUBLIC_SUPABASE_URL"],
                "SUPABASE_SECRET_KEY": keys.secret_key,
            }
        )


class Project:
    """The embedded project of the journeys, which one of them restarts."""

    def __init__(self, data_dir: Path, port: int, settings: dict[str, str]) -> None:
        # One journey looks at six hours.
        limits = {"SOUNDSCAPE_MAX_DURATION_S": "25200"}
        self._environment = os.environ | settings | limits
        self._data_dir = data_dir
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "tests.web.project"]
        self._command += ["--data-dir", str(data_dir), "--port", str(port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when it is ready."""
        log_path = self._data_dir.parent / "project.log"
        with log_path.open("a") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=web.ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not web.answers(f"{self.url}/api/health/ready"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                print(log_path.read_text()[-4000:])
                raise SystemExit("The embedded project does not start.")
            time.sleep(0.3)

    def stop(self) -> None:
        """Stop it as `soundscape dev` is stopped."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


@contextmanager
def controlled(project: Project, service: pushes.Pushes) -> Iterator[str]:
    """Serve what the journeys need of this process, and yield its address.

    POST /stop and POST /start: for those that go on without the project. GET /pushes: what Firefox
    and its push service have said to each other.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(service.state()).encode() if self.path == "/pushes" else b""
            self.send_response(200 if body else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            actions = {"/stop": project.stop, "/start": project.start}
            if action := actions.get(self.path):
                action()
            self.send_response(204 if action else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def find_browsers(browsers: list[str]) -> dict[str, str]:
    """The paths of the browsers that are here. As root on Debian, missing ones are installed first."""
    names = {
        browser: os.environ.get(f"SOUNDSCAPE_{browser.upper()}", PACKAGES[browser]) for browser in browsers
    }
    missing = [name for name in names.values() if shutil.which(name) is None and name in PACKAGES.values()]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {', '.join(missing)} …", flush=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
        # Where packages cannot be reached, that is said soon.
        apt += ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20"]
        subprocess.run([*apt, "update"], env=environment, check=False)
        for name in missing:
            install = [*apt, "install", "-y", "--no-install-recommends", name]
            subprocess.run(install, env=environment, check=False, stdout=subprocess.DEVNULL)
    paths = {browser: shutil.which(name) for browser, name in names.items()}
    return {browser: path for browser, path in paths.items() if path}


def get_ports(folder: Path) -> list[int]:
    """Two free ports, of the last run if possible: a build for the same addresses need not be repeated."""
    kept = folder / "ports.json"
    ports: list[int] = json.loads(kept.read_text()) if kept.is_file() else []
    if not ports or not all(map(is_free, ports)):
        ports = [port for port in random.sample(PORTS, 100) if is_free(port)][:2]
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(ports))
    return ports


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of 127.0.0.1."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def keep_keys(folder: Path, data_dir: Path) -> Keys:
    """Give the project the keys of the last run: the build holds the public one."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = Keys.load_or_make(folder / "keys.json")
    data_dir.mkdir(mode=0o711, parents=True)
    shutil.copy(folder / "keys.json", data_dir / "keys.json")
    return keys


def wait_for(site: str) -> None:
    """Return when the frontend answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not web.answers(site):
        if time.monotonic() > deadline:
            raise SystemExit("The frontend does not start.")
        time.sleep(0.3)


if __name__ == "__main__":
    sys.exit(main())
