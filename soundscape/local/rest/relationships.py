"""Which relationship an embed means: found, not found, or one of several.

The rules are PostgREST's ("Foreign Key Joins", "Target Disambiguation").
"""

from __future__ import annotations

from soundscape.local.rest.errors import RestError, nearest, refusal
from soundscape.local.rest.schema_cache import Relationship, SchemaCache, Table
from soundscape.local.rest.syntax import EmbedItem


def find_relationship(cache: SchemaCache, parent: Table, item: EmbedItem) -> Relationship:
    """The one relationship from `parent` that `item` names. Raises PGRST200 or PGRST201."""
    links = cache.relationships(parent.key)
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
    if link.via is not None:
        return name == target and hint in (None, link.hint)
    source_column, target_column = link.near[0] if len(link.near) == 1 else (None, None)
    if link.source == link.target:
        # One key of a table to itself can be walked both ways: the table's name means the many,
        # the column's name the one.
        if hint is None:
            return name == (source_column if link.to_one else target)
        if link.to_one:
            return name != target and hint in (source_column, link.hint)
        return name == target and hint in (target_column, link.hint)
    if hint is None:
        return name in (target, link.hint, source_column)
    return name == target and hint in (link.hint, source_column, target_column)


def _ambiguous(parent: str, item: EmbedItem, found: list[Relationship]) -> RestError:
    details = [
        {
            "cardinality": link.cardinality,
            "embedding": f"{link.source[1]} with {link.target[1]}",
            "relationship": link.described,
        }
        for link in found
    ]
    hints = ", ".join(f"'{link.target[1]}!{link.hint}'" for link in found)
    hint = f"Try changing '{item.name}' to one of the following: {hints}. "
    hint += "Find the desired relationship in the 'details' key."
    return refusal("PGRST201", parent, item.name, details=details, hint=hint)
