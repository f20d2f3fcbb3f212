"""The plan of a call: which function it means, and with which arguments."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from embedded_supabase.rest.errors import RestError, nearest, refusal
from embedded_supabase.rest.request import Request, read_json
from embedded_supabase.rest.schema_cache import Argument, Function, SchemaCache
from embedded_supabase.rest.syntax import Query


@dataclass(frozen=True, slots=True)
class CallPlan:
    function: Function
    arguments: tuple[Argument, ...]
    """The arguments in the request; the others have their defaults."""
    text: str
    """A JSON object with their values."""


def plan_call(cache: SchemaCache, request: Request, query: Query) -> CallPlan:
    """Choose the overload by the names of the arguments. Raises PGRST202 or PGRST203."""
    if request.method not in ("GET", "HEAD", "POST"):
        raise refusal("PGRST101", request.method)
    text, given = "", query.arguments
    if not request.is_read and request.body:
        text, given = request.json()
        if not isinstance(given, dict):
            raise refusal("PGRST102", "All object keys must match")
    overloads = cache.overloads((request.schema, request.name))
    found = [function for function in overloads if _fits(function, given)]
    if len(found) > 1:
        hint = "Try renaming the parameters or the function itself in the database so function overloading "
        signatures = ", ".join(function.signature for function in found)
        raise refusal("PGRST203", signatures, hint=hint + "can be resolved")
    if not found:
        raise _not_found(cache, request, sorted(given), overloads)
    if request.max_affected is not None and not found[0].returns_set:
        raise refusal("PGRST128")
    arguments = tuple(argument for argument in found[0].arguments if argument.name in given)
    if request.is_read:
        # Postgres reads text by the argument's type. JSON must be JSON already.
        as_json = {argument.name for argument in arguments if argument.type in ("json", "jsonb")}
        parsed = {name: read_json(given[name])[1] for name in as_json}
        text = json.dumps(given | parsed)
    return CallPlan(found[0], arguments, text)


def _fits(function: Function, given: Collection[str]) -> bool:
    required = {argument.name for argument in function.arguments if argument.required}
    return required <= set(given) <= {argument.name for argument in function.arguments}


def _not_found(
    cache: SchemaCache, request: Request, given: list[str], overloads: list[Function]
) -> RestError:
    schema, name, names = request.schema, request.name, ", ".join(given)
    perhaps = f"Perhaps you meant to call the function {schema}."
    if overloads:
        known = {", ".join(sorted(argument.name for argument in it.arguments)) for it in overloads}
        hint = nearest(names, known, f"{perhaps}{name}(", ")", cutoff=0.33)
    else:
        others = (other.name for other in cache.functions if other.schema == schema)
        hint = nearest(name, others, perhaps, "")
    searched = f" with parameter{'s' if len(given) > 1 else ''} {names}" if given else " without parameters"
    return refusal(
        "PGRST202",
        f"{schema}.{name}",
        f"({names})" if given else " without parameters",
        details=f"Searched for the function {schema}.{name}{searched}, "
        "but no matches were found in the schema cache.",
        hint=hint,
    )
