"""Which relationship an embed means: found, not found, or one of several.

The rules are PostgREST's ("Foreign Key Joins", "Target Disambiguation").
"""

from __future__ import annotations

from soundscape.local.rest.errors import RestError, nearest, refusal
from soundscape.local.rest.schema_cache import Pairs, Relationship, SchemaCache, Table
from soundscape.local.rest.syntax import EmbedItem


def find_relationship(cache: SchemaCache, parent: Table, item: EmbedItem) -> Relationship:
    """The one relationship from `parent` that `item` names. Raises PGRST200 or PGRST201."""
    links = cache.relationships.get(parent.key, [])
    found = [link for link in links if _fits(link, item.name, item.hint)]
    if len(found) > 1:
        raise _ambiguous(parent.name, item, found)
    if found:
        return found[0]
    using = f"' using the hint '{item.hint}" if item.hint else ""
    related = {link.target[1] for link in links} - {item.name}
    raise refusal(
        "PGRST200",
        parent.name,
        item.name,
        details=f"Searched for a foreign key relationship between '{parent.name}' and '{item.name}{using}' "
        f"in the schema '{parent.schema}', but no matches were found.",
        hint=nearest(item.name, related, "Perhaps you meant '", f"' instead of '{item.name}'."),
    )


def _fits(link: Relationship, name: str, hint: str | None) -> bool:
    target = link.target[1]
    source_column, target_column = link.columns[0] if len(link.columns) == 1 else (None, None)
    if link.source == link.target and link.junction is None:
        # One key of a table to itself can be walked both ways: the table's name means the many,
        # the column's name the one.
        if hint is None:
            return name == (source_column if link.to_one else target)
        if link.to_one:
            return name != target and hint in (source_column, link.constraint)
        return name == target and hint in (target_column, link.constraint)
    if hint is None:
        return name == target or (link.junction is None and name in (link.constraint, source_column))
    if link.junction is not None:
        return name == target and hint == link.junction.table[1]
    return name == target and hint in (link.constraint, source_column, target_column)


def _ambiguous(parent: str, item: EmbedItem, found: list[Relationship]) -> RestError:
    hints = ", ".join(
        f"'{link.target[1]}!{link.junction.table[1] if link.junction else link.constraint}'" for link in found
    )
    return refusal(
        "PGRST201",
        parent,
        item.name,
        details=[_described(link) for link in found],
        hint=f"Try changing '{item.name}' to one of the following: {hints}. "
        "Find the desired relationship in the 'details' key.",
    )


def _described(link: Relationship) -> dict[str, str]:
    source, target = link.source[1], link.target[1]
    if link.junction is not None:
        first, second = link.junction.constraints
        near, far = _listed(link.junction.source_columns, 0), _listed(link.junction.target_columns, 0)
        way = f"{link.junction.table[1]} using {first}({near}) and {second}({far})"
    else:
        here, there = _listed(link.columns, 0), _listed(link.columns, 1)
        way = f"{link.constraint} using {source}({here}) and {target}({there})"
    return {"cardinality": link.cardinality, "embedding": f"{source} with {target}", "relationship": way}


def _listed(pairs: Pairs, side: int) -> str:
    return ", ".join(pair[side] for pair in pairs)
