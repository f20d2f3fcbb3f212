"""Run the frontend's journeys in browsers: several files at once, and what fails once more by itself."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import web
from process import Process

JOURNEYS = web.FRONTEND / "tests" / "journeys"
FIREFOX_JOURNEYS = (1, 2, 3, 4, 5, 16)
RESTARTS_THE_PROJECT = 10
"""Nothing else may run beside this one."""
LONGEST_FIRST = (4, 2, 11, 5)
MAX_TEST_S = 900
"""Most steps of a test have a limit of their own, which names the step: `PATIENCE_MS` in browser.ts."""
MAX_JOURNEY_S = 1800
REPORTER = "./tests/reporter.ts"


@dataclass(frozen=True)
class Journey:
    """A file of tests in one browser."""

    browser: str
    file: Path

    @property
    def number(self) -> int:
        """The number that its name begins with."""
        return int(self.file.name.split("-")[0])

    def __str__(self) -> str:
        return f"{self.file.name.removesuffix('.test.ts')} in {self.browser}"


@dataclass(frozen=True)
class Result:
    """How a journey ended."""

    journey: Journey
    is_good: bool
    duration_s: float


def find_journeys(browsers: Iterable[str], beginnings: Sequence[str]) -> list[Journey]:
    """The journeys of these numbers, or whose names begin so; all without any.

    Those of one browser come before those of the next, which finds the six hours analysed. The longest come
    first.
    """
    browsers = list(browsers)
    found = [Journey(browser, file) for browser in browsers for file in sorted(JOURNEYS.glob("*.test.ts"))]
    found = [each for each in found if each.browser != "firefox" or each.number in FIREFOX_JOURNEYS]
    if beginnings:
        numbers = {int(each) for each in beginnings if each.isdigit()}
        names = tuple(each for each in beginnings if not each.isdigit())
        found = [each for each in found if each.number in numbers or each.file.name.startswith(names)]
    order = {number: place for place, number in enumerate(LONGEST_FIRST)}
    return sorted(found, key=lambda each: (browsers.index(each.browser), order.get(each.number, len(order))))


def run_journeys(
    journeys: Sequence[Journey], *, jobs: int, node_options: Sequence[str], environment: dict[str, str]
) -> bool:
    """Run them, print what they say, and return whether all passed.

    A journey that fails runs once more, with nothing beside it. If it passes then, it is reported as flaky.
    """
    started = time.monotonic()
    together = [each for each in journeys if each.number != RESTARTS_THE_PROJECT]
    alone = [each for each in journeys if each.number == RESTARTS_THE_PROJECT]
    results: list[Result] = []
    running: list[Process] = []

    def run(journey: Journey) -> Result:
        return _run(journey, node_options, environment, running)

    with ThreadPoolExecutor(jobs) as pool:
        pending = [pool.submit(run, each) for each in together]
        try:
            for future in as_completed(pending):
                results.append(_printed(future.result()))
        finally:
            # After Ctrl-C or SIGTERM some still run.
            for future in pending:
                future.cancel()
            for process in running:
                process.stop()
    results += [_printed(run(each)) for each in alone]
    failed = [result.journey for result in results if not result.is_good]
    again = [_printed(run(each), "once more: ") for each in failed]
    flaky = [result.journey for result in again if result.is_good]
    broken = [result.journey for result in again if not result.is_good]
    passed = len(journeys) - len(broken)
    print(f"{passed} of {len(journeys)} journeys passed, {_duration(time.monotonic() - started)}.")
    for journey in flaky:
        print(f"flaky: {journey} failed, and passed when it ran once more")
    for journey in broken:
        print(f"failed: {journey}, twice")
    return not broken


def _run(
    journey: Journey,
    node_options: Sequence[str],
    environment: dict[str, str],
    running: list[Process],
) -> Result:
    """Run it, and print what it says while it goes on: what hangs is then seen. It is added to `running`."""
    started = time.monotonic()
    command = [str(web.NODE), "--test", "--test-concurrency=1", "--test-force-exit"]
    command += [f"--test-timeout={1000 * MAX_TEST_S}", f"--test-reporter={REPORTER}", *node_options]
    process = Process(
        [*command, str(journey.file)],
        cwd=web.FRONTEND,
        environment=environment | {"SOUNDSCAPE_BROWSER": journey.browser},
    )
    running.append(process)
    with process.limited(MAX_JOURNEY_S):
        for line in process.lines():
            if line.strip():
                print(f"{journey}: {line.rstrip()}", flush=True)
        is_good = process.wait() == 0
    duration_s = time.monotonic() - started
    if duration_s > MAX_JOURNEY_S:
        print(f"{journey}: terminated, because a journey may take {_duration(MAX_JOURNEY_S)}")
    return Result(journey, is_good, duration_s)


def _printed(result: Result, prefix: str = "") -> Result:
    outcome = "passed" if result.is_good else "FAILED"
    print(f"{prefix}{result.journey}: {outcome}, {_duration(result.duration_s)}", flush=True)
    return result


def _duration(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02} min"
