"""What `soundscape import` reads: a folder, or a CSV file that names files and describes them."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path
from typing import Any

from soundscape.errors import SettingsError
from soundscape.project.bulk_import import ImportItem

FILE_COLUMN = "file"
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0", "")


class ListInvalid(SettingsError):
    """The folder or the CSV file cannot be imported as it is."""

    code = "import_list_invalid"


def read_list(source: Path, extensions: Collection[str], common: dict[str, Any]) -> list[ImportItem]:
    """Return the files to import.

    Parameters
    ----------
    source
        A folder, which is searched with all folders in it, or a CSV file.
    extensions
        Endings of recordings, such as `.wav`. Other files of a folder are left out.
    common
        Columns for every recording. A column of the CSV file comes before it.

    Raises
    ------
    ListInvalid
        If there is nothing to import, or a line of the CSV file cannot be read.
    """
    if source.is_dir():
        files = sorted(
            file
            for file in source.rglob("*")
            if file.suffix.lower() in extensions and not file.name.startswith(".") and file.is_file()
        )
        items = [ImportItem(file, dict(common)) for file in files]
    elif source.is_file():
        items = _read_csv(source, common)
    else:
        raise ListInvalid(f"{source} is no folder and no file.")
    if not items:
        raise ListInvalid(
            f"There is no recording in {source}.", remedy=f"Files end in {' '.join(extensions)}."
        )
    return items


def _read_csv(source: Path, common: dict[str, Any]) -> list[ImportItem]:
    try:
        with source.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened, strict=True)
            if FILE_COLUMN not in (reader.fieldnames or ()):
                raise ListInvalid(
                    f"{source} has no column {FILE_COLUMN}.",
                    remedy="The first line names the columns: file, and any of title, description, tags, …",
                )
            return [_read_line(source, number, line, common) for number, line in enumerate(reader, 2)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ListInvalid(f"{source} is no CSV file in UTF-8: {error}.") from error


def _read_line(source: Path, number: int, line: dict[Any, Any], common: dict[str, Any]) -> ImportItem:
    columns = dict(common)
    name = line.pop(FILE_COLUMN)
    if not name or None in line or None in line.values():
        raise ListInvalid(
            f"{source}: record {number} has not as many values as there are columns, or no file."
        )
    for column, text in line.items():
        if column == "tags":
            columns[column] = [tag for tag in (part.strip() for part in text.split(";")) if tag]
        elif column == "is_public":
            if text.strip().lower() not in (*TRUE, *FALSE):
                raise ListInvalid(f"{source}: record {number}: is_public is {text}, not true or false.")
            columns[column] = text.strip().lower() in TRUE
        elif text.strip():
            columns[column] = text
    return ImportItem(source.parent / name, columns)
