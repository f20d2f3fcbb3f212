"""NOTICE names every package whose licence asks for more than to be kept."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PERMISSIVE = re.compile(
    r"MIT(-CMU|-0)?|MIT License|The MIT License \(MIT\)|(\d-Clause )?BSD( License)?|"
    r"BSD[ -]\d-Clause( License)?|0BSD|ISC|"
    r"ISC License|Apache(-2\.0| 2(\.0)?| Software License)|LLVM-exception|PSF-2\.0|Zlib|CC0-1\.0|CNRI-Python|"
    r"Copyright \(c\) 2001-2002 Enthought, Inc\. 2003, SciPy Developers\.",
)


def read_table() -> dict[str, str]:
    """Licences by package."""
    printed = subprocess.run(
        [sys.executable, ROOT / "scripts" / "licences.py"], capture_output=True, text=True, check=True
    ).stdout
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines()[2:]]
    return {name: licence for name, _, licence, _ in rows}


def is_permissive(licence: str) -> bool:
    parts = re.split(r" (?:AND|OR|WITH) |, (?=[A-Z][\w-]+ License)", re.sub(r"[()](?=\w|$| )", "", licence))
    return all(PERMISSIVE.fullmatch(part.strip()) for part in parts)


def test_the_notice_names_what_asks_for_more() -> None:
    notice = (ROOT / "NOTICE").read_text()
    table = read_table()
    assert {"supabase", "numpy", "av", "psycopg", "implicit", "pgmq"} <= set(table)
    asking = {name: licence for name, licence in table.items() if not is_permissive(licence)}
    assert {"psycopg", "soxr", "certifi"} <= set(asking)
    assert {name for name in asking if not re.search(rf"\b{re.escape(name)}\b", notice)} == set()
    assert {name for name, licence in asking.items() if licence not in notice} == set()


def test_every_package_says_its_licence() -> None:
    assert [name for name, licence in read_table().items() if licence == "not said"] == []
