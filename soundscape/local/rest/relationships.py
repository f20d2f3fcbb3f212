"""Which relationship an embed means: found, not found, or one of several.

The rules are PostgREST's ("Foreign Key Joins", "Target Disambiguation").
"""

from __future__ import annotations

from soundscape.local.rest.errors import RestError, UnknownName, nearest
from soundscape.local.rest.schema_cache import Name, Relationship, SchemaCache, Table
from soundscape.local.rest.syntax import EmbedItem


def find_relationship(cache: SchemaCache, parent: Table, item: EmbedItem) -> Relationship:
    """The one relationship from `parent` that `item` names. Raises PGRST200 or PGRST201."""
    all_of_parent = cache.relationships.get(parent.key, [])
    found = [link for link in all_of_parent if _fits(link, item.name, item.hint)]
    if len(found) > 1:
        raise _ambiguous(parent.key, item, found)
    if not found:
        raise _missing(cache, parent.key, item, [link.target[1] for link in all_of_parent])
    return found[0]


def _fits(link: Relationship, name: str, hint: str | None) -> bool:
    source_column = link.columns[0][0] if len(link.columns) == 1 else None
    target_column = link.columns[0][1] if len(link.columns) == 1 else None
    if link.source == link.target and link.junction is None:
        # One key of a table to itself can be walked both ways: the table's name means the many,
        # the column's name the one.
        if hint is not None:
            forward = link.to_one and hint in (source_column, link.constraint) and name != link.target[1]
            back = not link.to_one and name == link.target[1] and hint in (target_column, link.constraint)
            return forward or back
        if name == link.target[1]:
            return not link.to_one
        return link.to_one and name == source_column
    if hint is None:
        if name == link.target[1]:
            return True
        return link.junction is None and name in (link.constraint, source_column)
    if name != link.target[1]:
        return False
    if link.junction is not None:
        return hint == link.junction.table[1]
    return hint in (link.constraint, source_column, target_column)


def _missing(cache: SchemaCache, parent: Name, item: EmbedItem, related: list[str]) -> RestError:
    schema, table = parent
    using = f"' using the hint '{item.hint}" if item.hint else ""
    like = nearest(item.name, related) if item.name not in related else None
    return UnknownName(
        400,
        "PGRST200",
        f"Could not find a relationship between '{table}' and '{item.name}' in the schema cache",
        details=(
            f"Searched for a foreign key relationship between '{table}' and '{item.name}{using}' "
            f"in the schema '{schema}', but no matches were found."
        ),
        hint=f"Perhaps you meant '{like}' instead of '{item.name}'." if like else None,
    )


def _ambiguous(parent: Name, item: EmbedItem, found: list[Relationship]) -> RestError:
    hints = ", ".join(
        f"'{link.target[1]}!{link.junction.table[1] if link.junction else link.constraint}'" for link in found
    )
    return RestError(
        300,
        "PGRST201",
        f"Could not embed because more than one relationship was found for '{parent[1]}' and '{item.name}'",
        details=[_described(link) for link in found],
        hint=f"Try changing '{item.name}' to one of the following: {hints}. "
        "Find the desired relationship in the 'details' key.",
    )


def _described(link: Relationship) -> dict[str, str]:
    source, target = link.source[1], link.target[1]
    if link.junction is not None:
        first, second = link.junction.constraints
        near = ", ".join(column for column, _ in link.junction.source_columns)
        far = ", ".join(column for column, _ in link.junction.target_columns)
        way = f"{link.junction.table[1]} using {first}({near}) and {second}({far})"
    else:
        here = ", ".join(column for column, _ in link.columns)
        there = ", ".join(column for _, column in link.columns)
        way = f"{link.constraint} using {source}({here}) and {target}({there})"
    return {"cardinality": link.cardinality, "embedding": f"{source} with {target}", "relationship": way}
