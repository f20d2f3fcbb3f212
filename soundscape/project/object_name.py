"""Names of objects, taken literally everywhere.

HTTP clients, proxies and URL builders normalise paths: they drop empty segments, resolve `.` and `..`, turn
backslashes round and decode percent-encoding. Policies and triggers compare the raw text. A name that such a
step would change could therefore mean one object to a policy and another to the worker. Only a canonical name
is accepted: one that no such step changes.

`tests/object_names.py` lists names of both kinds, for every place that decides it.
"""

from __future__ import annotations

import re
import unicodedata

from soundscape.errors import PolicyRefusal

MAX_BYTES = 1024
"""Limit of Storage and of S3, in UTF-8."""
_PERCENT_ENCODING = re.compile(r"%[0-9A-Fa-f]{2}")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class ObjectNameRefused(PolicyRefusal):
    """The name of a recording's file is not canonical, or Storage does not accept it."""

    code = "object_name_invalid"

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"The name of the file cannot be used: {problem}.", remedy="Upload it again under another name."
        )


def find_name_problem(name: str) -> str | None:
    """Find out why a name is not canonical.

    Parameters
    ----------
    name
        The name of an object within its bucket.

    Returns
    -------
    str or None
        The problem; None if the name is canonical.
    """
    segments = name.split("/")
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if size_bytes > MAX_BYTES:
        return f"it is longer than {MAX_BYTES} bytes"
    if "" in segments:
        return "it has an empty part between slashes"
    if "." in segments or ".." in segments:
        return "it has a part that is . or .."
    if "\\" in name:
        return "it has a backslash"
    if _CONTROL_CHARACTER.search(name):
        return "it has a control character"
    if _PERCENT_ENCODING.search(name):
        return "it has a percent-encoded character"
    if not unicodedata.is_normalized("NFC", name):
        return "it is not in Unicode's normal form C"
    return None


def check_object_name(name: str) -> None:
    """Raise `ObjectNameRefused` if a name is not canonical."""
    problem = find_name_problem(name)
    if problem is not None:
        raise ObjectNameRefused(problem)
