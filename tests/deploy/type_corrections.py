"""Corrections of the official CLI's types, read from the database and from the record's JSON Schema.

The CLI knows neither which functions people may call, nor which texts a column takes, nor that a function's
results may be null, nor what is in a jsonb column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, LiteralString

import psycopg

REGISTRIES = {"licenses": "License", "notification_kinds": "NotificationKind"}
"""Tables that list what a column may hold, which only migrations write; and the name of the union."""

NEVER_NULL: dict[str, set[str]] = {
    "accepted_uploads": {"mime_types", "extensions", "max_bytes"},
    "create_api_key": {"id", "prefix", "key"},
    "describe_audio": {"place", "result"},
    "flags": {"key", "is_on"},
    "mood_mix": {"id", "score", "because", "points", "recording"},
    "my_audio_stats": {"day", "plays", "listeners", "downloads"},
    "nearby_audio": {"id", "distance_m", "recording"},
    "notification_settings": {"kind", "channel", "enabled", "description"},
    "notification_channels": {"channel", "is_on"},
    "radio": {"id", "likeness", "recording"},
    "recommended_audio": {"id", "score", "reason", "because", "recording"},
    "search_audio": {"id", "score", "cursor", "recording"},
    "search_facets": {"facet", "value", "recordings"},
    "similar_audio": {"id", "score", "recording"},
    "similar_to_embedding": {"id", "score", "recording"},
}
"""Results of functions that are never null. tests/sql/test_result_nulls.py holds them to it."""

JSON_COLUMNS = {
    ("audio_features", "descriptors"): "AnalysisRecord",
    # Empty without pictures; an earlier analysis drew fewer.
    ("audio_features", "pictures"): "Partial<AnalysisPictures>",
    ("audio_files", "sources"): "RecordingSource[]",
    ("audio_files", "heard"): "{ [label: string]: number }",
}
RETURNS = {
    ("describe_audio", "status"): "AudioFilesStatus | null",
    ("describe_audio", "result"): "'created' | 'updated' | 'unchanged' | 'refused'",
}
NOT_STORED = "capture"
"""The section of the record that is not in `descriptors`."""
SCALARS = {"cancel_analysis": "AudioFilesStatus", "retry_analysis": "AudioFilesStatus"}
"""What functions return that answer one text."""
SOURCE = (
    "export type RecordingSource = { title: string; url?: string; attribution?: string; license?: License }"
)

_CALLABLE = """
select distinct proname from pg_proc
where pronamespace = 'public'::regnamespace
  and (has_function_privilege('anon', oid, 'execute')
       or has_function_privilege('authenticated', oid, 'execute'))
"""
_CHECKS = """
select c.conrelid::regclass::text, a.attname, pg_get_constraintdef(c.oid)
from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
where c.contype = 'c' and c.connamespace = 'public'::regnamespace and cardinality(c.conkey) = 1
  and a.atttypid = 'text'::regtype
"""
_REFERENCES = """
select c.conrelid::regclass::text, a.attname, r.relname
from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
join pg_class r on r.oid = c.confrelid
where c.contype = 'f' and c.connamespace = 'public'::regnamespace and r.relname = any (%s)
"""


def correct(types: str, database_url: str, schema: dict[str, Any]) -> str:
    """The CLI's types with its mistakes corrected.

    Parameters
    ----------
    types
        What the CLI wrote, formatted.
    database_url
        The database it was written from.
    schema
        The record's JSON Schema.
    """
    with psycopg.connect(database_url) as connection:

        def rows(query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
            return connection.execute(query, values or None).fetchall()

        callable_ones = {name for (name,) in rows(_CALLABLE)}
        unions: dict[str, list[str]] = {}
        columns: dict[tuple[str, str], str] = {}
        for table, column, definition in sorted(rows(_CHECKS)):
            values = _listed_values(definition, column)
            if values:
                columns[table, column] = _pascal(table, column)
                unions[_pascal(table, column)] = values
        for table, column, registry in sorted(rows(_REFERENCES, list(REGISTRIES))):
            columns[table, column] = REGISTRIES[registry]
        for registry, name in REGISTRIES.items():
            key, place = ("kind", "soundscape") if registry == "notification_kinds" else ("id", "public")
            listed = rows(f"select {key} from {place}.{registry} order by 1")
            unions[name] = [str(value) for (value,) in listed]
    lines = types.splitlines()
    corrected = "\n".join(_correct_lines(lines, callable_ones, columns))
    aliases = [f"export type {name} = {_union(values)}" for name, values in sorted(unions.items())]
    return "\n".join([corrected, "", *aliases, "", SOURCE, "", *convert_schema(schema), ""])


def _correct_lines(
    lines: Sequence[str], callable_ones: set[str], columns: dict[tuple[str, str], str]
) -> Iterator[str]:
    part = entry = ""
    in_returns = False
    for line in lines:
        if found := re.match(r"    (Tables|Views|Functions|Enums|CompositeTypes): \{", line):
            part = found[1]
        elif found := re.match(r"      (\w+): ", line):
            entry, in_returns = found[1], False
        if part == "Functions" and re.match(r"      ", line) and entry not in callable_ones:
            continue
        if part == "Functions":
            in_returns = in_returns or "Returns: {" in line
            line = _correct_result(line, entry) if in_returns else line
            if entry in SCALARS:
                line = line.replace("Returns: string }", f"Returns: {SCALARS[entry]} }}")
            line = re.sub(r"\blicense\?: string\b", "license?: License", line)
        elif part == "Tables":
            line = _correct_column(line, entry, columns)
        yield line


def _correct_column(line: str, table: str, columns: dict[tuple[str, str], str]) -> str:
    found = re.match(r"( {10}(\w+)\??: )(.*)", line)
    if found is None:
        return line
    if (table, found[2]) in JSON_COLUMNS:
        return found[1] + JSON_COLUMNS[table, found[2]]
    if (table, found[2]) in columns:
        return found[1] + re.sub(r"\bstring\b", columns[table, found[2]], found[3])
    return line


def _correct_result(line: str, function: str) -> str:
    found = re.match(r"( {10}(\w+): )(.*)", line)
    if found is None:
        return line
    if (function, found[2]) in RETURNS:
        return found[1] + RETURNS[function, found[2]]
    return line if found[2] in NEVER_NULL.get(function, set()) else f"{line} | null"


def _listed_values(definition: str, column: str) -> list[str]:
    """The texts of a check `column = any (array[…])`, alone or within a sentence's check; none for others."""
    found = re.search(rf"\(\(?{column} = ANY \(ARRAY\[([^\]]*)\]\)", definition)
    return re.findall(r"'([^']*)'::text", found[1]) if found else []


def _pascal(*names: str) -> str:
    return "".join(word.capitalize() for name in names for word in name.split("_"))


def _union(values: Sequence[str]) -> str:
    return " | ".join(f"'{value}'" for value in values)


# -- JSON Schema ----------------------------------------------------------------------------------------


def convert_schema(schema: dict[str, Any]) -> Iterator[str]:
    """A type for the record and one for each definition, their names beginning with Analysis."""
    yield "/** What one version of the analysis writes. Earlier versions may lack what later ones added. */"
    stored = {name: part for name, part in schema["properties"].items() if name != NOT_STORED}
    yield f"export type AnalysisRecord = {_convert(schema | {'properties': stored})}"
    for name, definition in schema["$defs"].items():
        if name == NOT_STORED.capitalize():
            continue
        yield f"export type Analysis{name} = {_convert(definition)}"


def _convert(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return "Analysis" + str(schema["$ref"]).removeprefix("#/$defs/")
    if "anyOf" in schema:
        return " | ".join(_convert(option) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "object" if "properties" in schema:
            required = schema.get("required", ())
            parts = (
                f"{json.dumps(name)}{'' if name in required else '?'}: {_convert(part)}"
                for name, part in schema["properties"].items()
            )
            return "{ " + "; ".join(parts) + " }"
        case "object":
            return f"{{ [name: string]: {_convert(schema['additionalProperties'])} }}"
        case "array" if "prefixItems" in schema:
            return "[" + ", ".join(_convert(item) for item in schema["prefixItems"]) + "]"
        case "array":
            return f"({_convert(schema['items'])})[]"
        case "number" | "integer":
            return "number"
        case "string" | "boolean" | "null" as plain:
            return str(plain)
    raise ValueError(f"no type for {schema}")
