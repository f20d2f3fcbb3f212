"""The document at the root: what the caller may reach, as Swagger 2.0, the version PostgREST speaks."""

from __future__ import annotations

from typing import Any

from soundscape.local.rest.schema_cache import Column, Function, SchemaCache, Table

REACHABLE = """
select 'table', n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s
  and (has_table_privilege(c.oid, 'select, insert, update, delete')
       or has_any_column_privilege(c.oid, 'select, insert, update'))
union all
select 'function', n.nspname, p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = %(schema)s and has_function_privilege(p.oid, 'execute')
"""
"""Asked under the caller's role."""

_JSON_TYPES = {
    "smallint": "integer", "integer": "integer", "bigint": "integer", "boolean": "boolean", "real": "number",
    "double precision": "number", "numeric": "number",
}  # fmt: skip


def document(
    cache: SchemaCache, schema: str, url: str, reachable: set[tuple[str, str, str]]
) -> dict[str, Any]:
    """`reachable` are the rows of `REACHABLE`. Comments become titles and descriptions."""
    tables = [
        table
        for key, table in sorted(cache.tables.items())
        if ("table", *key) in reachable and key[0] == schema
    ]
    functions = [
        overloads[0]
        for key, overloads in sorted(cache.functions.items())
        if ("function", *key) in reachable and key[0] == schema
    ]
    host, _, base = url.partition("://")[2].partition("/")
    summary, _, description = (cache.comment or "").partition("\n")
    return {
        "swagger": "2.0",
        "info": {
            "title": summary or "standard public schema",
            "description": description.strip() or "SoundScape's embedded Data API",
            "version": "14.0",
        },
        "host": host,
        "basePath": f"/{base}",
        "schemes": [url.partition("://")[0]],
        "consumes": ["application/json", "text/csv"],
        "produces": ["application/json", "application/vnd.pgrst.object+json", "text/csv"],
        "paths": {
            "/": {"get": _operation("Introspection", "OpenAPI description (this document)", [])},
            **{f"/{table.name}": _table_paths(table) for table in tables},
            **{f"/rpc/{function.name}": _function_path(function) for function in functions},
        },
        "definitions": {table.name: _definition(cache, table) for table in tables},
        "parameters": _parameters(tables),
        "externalDocs": {"description": "PostgREST Documentation", "url": "https://docs.postgrest.org/"},
    }


def _operation(tag: str, summary: str | None, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "tags": [tag],
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}},
    }
    head, _, rest = (summary or "").partition("\n")
    if head:
        operation["summary"] = head
    if rest.strip():
        operation["description"] = rest.strip()
    return operation


def _table_paths(table: Table) -> dict[str, Any]:
    filters = [{"$ref": f"#/parameters/rowFilter.{table.name}.{column}"} for column in table.columns]
    body = {"$ref": f"#/parameters/body.{table.name}"}
    common = [{"$ref": f"#/parameters/{name}"} for name in ("select", "order", "offset", "limit")]
    paths = {"get": _operation(table.name, table.comment, [*filters, *common])}
    if table.insertable:
        paths["post"] = _operation(table.name, table.comment, [body])
    if table.updatable:
        paths["patch"] = _operation(table.name, table.comment, [*filters, body])
    if table.deletable:
        paths["delete"] = _operation(table.name, table.comment, filters)
    return paths


def _function_path(function: Function) -> dict[str, Any]:
    properties = {
        argument.name: {"type": _JSON_TYPES.get(argument.type, "string"), "format": argument.type}
        for argument in function.arguments
    }
    required = [argument.name for argument in function.arguments if argument.required]
    schema = {"type": "object", "properties": properties} | ({"required": required} if required else {})
    body = {"name": "args", "in": "body", "required": True, "schema": schema}
    return {"post": _operation(f"(rpc) {function.name}", function.comment, [body])}


def _definition(cache: SchemaCache, table: Table) -> dict[str, Any]:
    targets = {
        link.columns[0][0]: (link.target[1], link.columns[0][1])
        for link in cache.relationships.get(table.key, [])
        if link.cardinality in ("many-to-one", "one-to-one")
        and len(link.columns) == 1
        and link.columns[0][0] not in table.primary_key
    }
    definition: dict[str, Any] = {
        "type": "object",
        "properties": {
            column.name: _property(column, column.name in table.primary_key, targets.get(column.name))
            for column in table.columns.values()
        },
    }
    required = [column.name for column in table.columns.values() if not column.nullable]
    if required:
        definition["required"] = required
    if table.comment:
        definition["description"] = table.comment
    return definition


def _property(column: Column, is_key: bool, target: tuple[str, str] | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"format": column.type}
    if column.base.endswith("[]"):
        shown |= {"type": "array", "items": {"type": _JSON_TYPES.get(column.base[:-2], "string")}}
    elif not column.is_json:
        shown["type"] = _JSON_TYPES.get(column.base, "string")
    if column.enum:
        shown["enum"] = list(column.enum)
    if column.default is not None:
        shown["default"] = column.default
    notes = [column.comment] if column.comment else []
    if is_key:
        notes.append("Note:\nThis is a Primary Key.<pk/>")
    if target is not None:
        table, name = target
        notes.append(
            f"Note:\nThis is a Foreign Key to `{table}.{name}`.<fk table='{table}' column='{name}'/>"
        )
    if notes:
        shown["description"] = "\n\n".join(notes)
    return shown


def _parameters(tables: list[Table]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: {"name": name, "in": "query", "required": False, "type": "string"}
        for name in ("select", "order", "offset", "limit", "on_conflict")
    }
    for table in tables:
        found[f"body.{table.name}"] = {
            "name": table.name,
            "in": "body",
            "required": False,
            "schema": {"$ref": f"#/definitions/{table.name}"},
        }
        for column in table.columns.values():
            found[f"rowFilter.{table.name}.{column.name}"] = {
                "name": column.name,
                "in": "query",
                "required": False,
                "type": "string",
            }
    return found
