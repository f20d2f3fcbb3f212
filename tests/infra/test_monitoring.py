"""Every expression of the alerts and the dashboard, asked of a real Prometheus that scrapes a real worker."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests import embedded
from tests.waiting import until

MONITORING = Path(__file__).resolve().parents[2] / "infra" / "monitoring"
INTERVAL = "30s"
NAME = re.compile(r"\b(?:soundscape|process)_[a-z_]+\b|\bup\b")

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus")


def read_alerts() -> list[str]:
    groups = yaml.safe_load((MONITORING / "prometheus" / "alerts.yaml").read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def read_dashboard() -> list[str]:
    panels = json.loads((MONITORING / "grafana" / "soundscape.json").read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return [each.replace("$__rate_interval", INTERVAL) for each in expressions]


@pytest.fixture(scope="module")
def prometheus(data_dirs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has scraped a worker at least twice, under our own configuration."""
    folder = tmp_path_factory.mktemp("prometheus")
    with embedded.served(data_dirs / "monitoring") as project, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.close()
        config = yaml.safe_load((MONITORING / "prometheus" / "prometheus.yaml").read_text())
        (scrape,) = config["scrape_configs"]
        # On this machine the worker asks for no token, and there is no DNS to find it by.
        del scrape["authorization"], scrape["dns_sd_configs"], config["alerting"]
        scrape["static_configs"] = [{"targets": [project.url.removeprefix("http://")]}]
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(MONITORING / "prometheus" / "alerts.yaml")]
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            # The figures of the queue are there once the worker has reached the project.
            until(lambda: _scrapes(url) >= 2 and ask(url, "soundscape_queue_oldest_seconds"))
            yield url
        finally:
            process.terminate()
            process.wait()


def ask(url: str, expression: str) -> list[dict[str, object]]:
    answer = httpx.get(f"{url}/api/v1/query", params={"query": expression}).json()
    assert answer["status"] == "success", (expression, answer)
    found: list[dict[str, object]] = answer["data"]["result"]
    return found


def _scrapes(url: str) -> int:
    try:
        if httpx.get(f"{url}/-/ready").status_code != 200:
            return 0
    except httpx.TransportError:
        return 0
    found = ask(url, 'count_over_time(up{job="soundscape"}[10m])')
    return int(str(found[0]["value"][1])) if found else 0  # type: ignore[index]


@pytest.mark.parametrize("expression", [*read_alerts(), *read_dashboard()])
def test_an_expression_is_answered(prometheus: str, expression: str) -> None:
    ask(prometheus, expression)
    for name in NAME.findall(expression):
        if name.endswith("_bucket"):
            name = name.removesuffix("_bucket")
        # A counter without labels is there from the start; one with labels has at least its description.
        described = httpx.get(f"{prometheus}/api/v1/targets/metadata", params={"metric": name}).json()["data"]
        family = httpx.get(
            f"{prometheus}/api/v1/targets/metadata", params={"metric": name.removesuffix("_total")}
        ).json()["data"]
        assert name == "up" or described or family, f"no worker has {name}"


def test_the_dashboard_shows_what_there_is(prometheus: str) -> None:
    """Of the figures that a quiet project has, none is empty."""
    for expression in (
        "max(soundscape_queue_oldest_seconds)",
        'count(up{job="soundscape"} == 1) or vector(0)',
        "min by (check) (soundscape_check_state)",
        "max by (queue, state) (soundscape_queue_jobs)",
    ):
        assert expression in read_dashboard()
        assert ask(prometheus, expression), expression
