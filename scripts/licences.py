"""Print the licence of every package that an installation of soundscape brings, as a Markdown table.

What the packages themselves say is printed, from the metadata of those installed here. NOTICE says what
follows from it. Arguments are extras of soundscape; without any, all are looked at but the tests'.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

EXTRAS = ("local", "models", "recommend", "telemetry")


def read_licence(package: Distribution) -> str:
    """Return what a package says of its licence: the SPDX expression if there is one."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = [
        line.rpartition("::")[2].strip()
        for line in metadata.get_all("Classifier") or ()
        if line.startswith("License ::")
    ]
    written = (metadata.get("License") or "").strip().splitlines()
    return (written[0] if len(written) == 1 else "") or ", ".join(classifiers) or "not said"


def list_requirements(package: Distribution, extra: str) -> Iterator[Requirement]:
    """Yield what a package needs here with this extra ("" for none)."""
    for text in package.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def collect_packages(extra: str) -> dict[str, Distribution]:
    """Return every package that soundscape brings with this extra and that is installed here, by name."""
    found: dict[str, Distribution] = {}
    left = [("soundscape", extra)]
    seen = set(left)
    while left:
        name, wanted = left.pop()
        try:
            package = distribution(name)
        except PackageNotFoundError:
            print(f"{name} is not installed here.", file=sys.stderr)
            continue
        if name != "soundscape":
            found[name] = package
        for requirement in list_requirements(package, wanted):
            for each in ("", *requirement.extras):
                step = (canonicalize_name(requirement.name), each)
                if step not in seen:
                    seen.add(step)
                    left.append(step)
    return found


def main(extras: Sequence[str]) -> None:
    base = collect_packages("")
    brought_by = dict.fromkeys(base, "")
    packages = dict(base)
    for extra in extras:
        for name, package in collect_packages(extra).items():
            packages.setdefault(name, package)
            brought_by.setdefault(name, extra)
    print("| package | version | licence | extra |")
    print("|---|---|---|---|")
    for name in sorted(packages):
        package = packages[name]
        print(f"| {name} | {package.version} | {read_licence(package)} | {brought_by[name]} |")


if __name__ == "__main__":
    main(sys.argv[1:] or EXTRAS)
