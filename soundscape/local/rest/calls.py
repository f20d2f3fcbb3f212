"""Which function a call means, and with what arguments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from soundscape.local.rest.errors import RestError, UnknownName, nearest
from soundscape.local.rest.schema_cache import Argument, Function, SchemaCache

_RAW_BODIES = {
    "application/json": ("json", "jsonb"),
    "text/plain": ("text",),
    "text/xml": ("xml",),
    "application/octet-stream": ("bytea",),
}


@dataclass(frozen=True, slots=True)
class Call:
    function: Function
    json_text: str | None = None
    """Named arguments as one JSON object."""
    texts: tuple[tuple[Argument, str | tuple[str, ...]], ...] = ()
    """Named arguments as text, from a query string."""
    raw: str | bytes | None = None
    """The whole body, for a function with one unnamed parameter."""
    given: frozenset[str] = frozenset()

    @property
    def named(self) -> list[Argument]:
        return [argument for argument in self.function.arguments if argument.name in self.given]


def choose(
    cache: SchemaCache, schema: str, name: str, given: Iterable[str], *, media: str | None = None
) -> Function:
    """The overload whose parameters fit the given names. Raises PGRST202 or PGRST203.

    `media` is a POST's content type: its body may go whole into a single unnamed parameter.
    """
    names = set(given)
    overloads = cache.functions.get((schema, name), [])
    found = [function for function in overloads if _fits(function, names)]
    if not found and media is not None:
        found = [function for function in overloads if takes_body(function, media)]
    if len(found) > 1:
        raise RestError(
            300,
            "PGRST203",
            "Could not choose the best candidate function between: "
            + ", ".join(function.signature for function in found),
            hint="Try renaming the parameters or the function itself in the database so function "
            "overloading can be resolved",
        )
    if not found:
        raise _missing(cache, schema, name, sorted(names), overloads, media)
    return found[0]


def takes_body(function: Function, media: str) -> bool:
    return (
        len(function.arguments) == 1
        and not function.arguments[0].name
        and function.arguments[0].type in _RAW_BODIES.get(media, ())
    )


def with_texts(function: Function, pairs: Iterable[tuple[str, str]]) -> Call:
    """Arguments of a GET: the last of a repeated one counts, except that a variadic one takes all."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    texts: list[tuple[Argument, str | tuple[str, ...]]] = []
    for argument in function.arguments:
        if argument.name in values:
            given = values[argument.name]
            texts.append((argument, tuple(given) if argument.variadic else given[-1]))
    return Call(function, texts=tuple(texts), given=frozenset(values))


def _fits(function: Function, given: set[str]) -> bool:
    if any(not argument.name for argument in function.arguments):
        return False
    required = {argument.name for argument in function.arguments if argument.required}
    return required <= given <= {argument.name for argument in function.arguments}


def _missing(
    cache: SchemaCache,
    schema: str,
    name: str,
    given: list[str],
    overloads: list[Function],
    media: str | None,
) -> RestError:
    listed = f"({', '.join(given)})" if given else " without parameters"
    searched = f" with parameter{'s' if len(given) > 1 else ''} {', '.join(given)}" if given else listed
    unnamed = " or with a single unnamed json/jsonb parameter" if media == "application/json" else ""
    hint = None
    if overloads:
        known = {
            ", ".join(sorted(argument.name for argument in function.arguments)) for function in overloads
        }
        like = nearest(", ".join(given), known, cutoff=0.33)
        hint = f"{schema}.{name}({like})" if like is not None else None
    else:
        like = nearest(name, (other for place, other in cache.functions if place == schema))
        hint = f"{schema}.{like}" if like else None
    return UnknownName(
        404,
        "PGRST202",
        f"Could not find the function {schema}.{name}{listed} in the schema cache",
        details=f"Searched for the function {schema}.{name}{searched}{unnamed}, "
        "but no matches were found in the schema cache.",
        hint=f"Perhaps you meant to call the function {hint}" if hint else None,
    )
