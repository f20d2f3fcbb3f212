"""Build the documentation site: the pages of docs/, and references made from the code and the schema.

The builder comes from lock/docs.txt, in a virtual environment of its own. Mermaid, which draws the tables,
comes from npm; without npm they are listed and not drawn.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools import install_tools

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "docs"
PAGES = FOLDER / "pages"
MERMAID = "mermaid@11.12.0"

# What a page of docs/ links to outside of docs/, and what a page outside links to within.
OUTSIDE = {
    "README.md": "project.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "infra/README.md": "infra.md",
    "infra/kubernetes/README.md": "kubernetes.md",
    "embedded_supabase/README.md": "embedded-supabase-code.md",
}
AUDIO = ("measurements", "snippet", "fingerprint.index")
"""Modules of `soundscape.audio` that programs use, beside those of the names that the package exports."""


def main(arguments: list[str]) -> int:
    """Prepare the pages and build the site; returns the builder's exit status."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES)
    copy_outside()
    reference = PAGES / "reference"
    reference.mkdir()
    (reference / "audio.md").write_text("".join(write_audio()))
    (reference / "http.md").write_text("".join(write_routes()))
    (reference / "tables.md").write_text("".join(write_tables()))
    index = PAGES / "README.md"
    index.write_text(index.read_text() + "".join(write_index()))
    if not copy_mermaid():
        print("npm is not here: the tables are listed, not drawn.", file=sys.stderr)
    builder = install_tools(ROOT / "lock" / "docs.txt", FOLDER / "python") / "zensical"
    command = [builder, "serve" if "--serve" in arguments else "build", "--config-file", "mkdocs.yaml"]
    command += ["--dev-addr", "127.0.0.1:8001"] if "--serve" in arguments else ["--strict"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def copy_outside() -> None:
    """Copy the pages that lie outside docs/, and turn links between both."""
    for source, name in OUTSIDE.items():
        folder = Path(source).parent
        text = (ROOT / source).read_text()

        def turn(found: re.Match[str], folder: Path = folder) -> str:
            target, anchor = found[1], found[2] or ""
            path = _normalise(folder / target)
            if path in OUTSIDE:
                return f"]({OUTSIDE[path]}{anchor})"
            if path.startswith("docs/") and (ROOT / path).is_file():
                return f"]({path.removeprefix('docs/')}{anchor})"
            # A file of the checkout that is no page: its name remains.
            return "]"

        text = re.sub(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)]*)?\)", turn, text)
        (PAGES / name).write_text(re.sub(r"(?<!\!)\[([^\]\[]+)\](?![(\[:])", r"\1", text))
    for page in PAGES.rglob("*.md"):
        depth = len(page.relative_to(PAGES).parts) - 1
        text = page.read_text()
        for source, name in OUTSIDE.items():
            text = text.replace(f"]({'../' * (depth + 1)}{source}", f"]({'../' * depth}{name}")
        page.write_text(text)


def _normalise(path: Path) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def write_index() -> Iterator[str]:
    """Yield what the index of the site says beyond that of docs/."""
    yield "\n## Reference, made from the code\n\n| page | about |\n|---|---|\n"
    yield "| [reference/http.md](reference/http.md) | the worker's routes |\n"
    yield "| [reference/tables.md](reference/tables.md) | every table and function of the database, drawn |\n"
    yield "| [reference/audio.md](reference/audio.md) | `soundscape.audio` for programs |\n"


def write_audio() -> Iterator[str]:
    """Yield the page of `soundscape.audio`: the builder fills it from the docstrings."""
    import soundscape.audio

    exported = (getattr(soundscape.audio, name) for name in soundscape.audio.__all__)
    homes = [
        each.__module__.removeprefix("soundscape.audio.") for each in exported if hasattr(each, "__module__")
    ]
    yield "# soundscape.audio\n\nSound in, numbers out: `from soundscape.audio import analyze`.\n"
    for module in dict.fromkeys((*homes, *AUDIO)):
        yield f"\n::: soundscape.audio.{module}\n"


def write_routes() -> Iterator[str]:
    """Yield the page of the worker's routes, from the description that `/api/openapi.json` gives."""
    from soundscape.api.app import build
    from soundscape.settings import Settings

    settings = Settings.from_environment(
        {
            "SUPABASE_URL": "http://127.0.0.1:9",
            "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_0123456789",
            "SUPABASE_SECRET_KEY": "sb_secret_0123456789",
            "SOUNDSCAPE_WEBHOOK_SECRET": "whsec_" + "A" * 43 + "=",
        }
    )
    described = build(settings).openapi()
    yield "# The worker's HTTP API\n\nAll paths lie under `/api`. A worker shows the same at `/api/docs`.\n"
    for path, methods in sorted(described["paths"].items()):
        for method, route in methods.items():
            text = route.get("description", route.get("summary", ""))
            yield f"\n## `{method.upper()} /api{path}`\n\n{text}\n"
            parameters = route.get("parameters", [])
            if parameters:
                yield "\n| parameter | in | |\n|---|---|---|\n"
            for parameter in parameters:
                text = " ".join(str(parameter.get("description", "")).split())
                yield f"| `{parameter['name']}` | {parameter['in']} | {text} |\n"
            yield "\n| status | |\n|---|---|\n"
            for status, answer in sorted(route["responses"].items()):
                yield f"| {status} | {answer['description']} |\n"


def write_tables() -> Iterator[str]:
    """Yield the page of the database: a drawing, the tables of the Data API, the functions."""
    schema = (ROOT / "docs" / "schema.sql").read_text()
    comments = read_comments()
    tables = dict(re.findall(r"^CREATE TABLE (public\.\w+) \(\n(.*?)^\);", schema, re.MULTILINE | re.DOTALL))
    keys = re.findall(
        r"ALTER TABLE ONLY (public\.\w+)\s+ADD CONSTRAINT \w+ FOREIGN KEY \([^)]*\) "
        r"REFERENCES (public\.\w+)\(",
        schema,
    )
    yield "# The database\n\nThe tables that the Data API shows. Row level security decides who sees a row.\n"
    yield "[data-model.md](../data-model.md) says who sees what.\n\n```mermaid\nerDiagram\n    direction LR\n"
    for table, other in sorted(set(keys)):
        yield f'    {other.removeprefix("public.")} ||--o{{ {table.removeprefix("public.")} : ""\n'
    yield "```\n"
    for table, body in sorted(tables.items()):
        yield f"\n## {table.removeprefix('public.')}\n\n{comments.get(f'table {table}', '')}\n"
        yield "\n| column | type | |\n|---|---|---|\n"
        for line in body.splitlines():
            found = re.match(
                r"    (\w+) ([\w. ]+?(?:\([\d,]+\))?(?:\[\])?)(?: DEFAULT .*| NOT NULL.*| GENERATED.*)?,?$",
                line,
            )
            if found and found[1] != "CONSTRAINT":
                text = comments.get(f"column {table}.{found[1]}", "")
                yield f"| `{found[1]}` | `{found[2]}` | {text} |\n"
    yield "\n## Functions\n\nWhat a client calls by `rpc`.\n\n| function | |\n|---|---|\n"
    for what, text in sorted(comments.items()):
        found = re.match(r"function public\.(\w+)", what)
        if found:
            yield f"| `{found[1]}` | {text} |\n"


def read_comments() -> dict[str, str]:
    """Read the comments of the migrations, by what they are about; the newest wins."""
    found: dict[str, str] = {}
    pattern = r"^comment on (table|column|function) (\S+?)(\([^)]*\))?\s+is((?:\s*'(?:[^']|'')*')+)"
    for path in sorted((ROOT / "supabase" / "migrations").glob("*.sql")):
        for kind, name, _, literals in re.findall(pattern, path.read_text(), re.MULTILINE):
            text = "".join(re.findall(r"'((?:[^']|'')*)'", literals)).replace("''", "'")
            found[f"{kind} {name}"] = " ".join(text.split()).replace("|", "\\|")
    return found


def copy_mermaid() -> bool:
    """Copy Mermaid into the pages. Returns whether npm was there to bring it."""
    npm = shutil.which("npm")
    kept = FOLDER / "mermaid.min.js"
    if not kept.exists():
        if npm is None:
            return False
        subprocess.run(
            [
                npm,
                "install",
                "--silent",
                "--no-save",
                "--ignore-scripts",
                "--prefix",
                FOLDER / "npm",
                MERMAID,
            ],
            check=True,
        )
        shutil.copy(FOLDER / "npm" / "node_modules" / "mermaid" / "dist" / "mermaid.min.js", kept)
    (PAGES / "assets").mkdir(exist_ok=True)
    shutil.copy(kept, PAGES / "assets" / kept.name)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
