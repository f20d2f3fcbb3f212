"""A text being read: a place in it, words, and where it stopped making sense."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

from soundscape.local.rest.errors import parse_error
from soundscape.local.rest.syntax import Field, JsonStep

MAX_DEPTH = 30
"""Parentheses inside parentheses; more would only exhaust somebody's stack."""

_NAME = re.compile(r"[\w $]+(?:-(?!>)[\w $]+)*")
_JSON_KEY = re.compile(r"[^(\-:.,>)]+(?:-(?!>)[^(\-:.,>)]+)*")
_JSON_INDEX = re.compile(r"-?[0-9]{1,18}(?=->|::|\.|,|\)|$)")

T = TypeVar("T")


class Reader:
    """A text and a place in it."""

    def __init__(self, text: str, what: str) -> None:
        self.text = text
        self.what = what
        self.at = 0
        self.depth = 0

    def fail(self, expecting: str) -> NoReturn:
        here = self.text[self.at : self.at + 1]
        found = f'unexpected "{here}"' if here else "unexpected end of input"
        raise parse_error(
            f'"failed to parse {self.what} ({self.text})" (line 1, column {self.at + 1})',
            f"{found} expecting {expecting}",
        )

    def accept(self, token: str) -> bool:
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def expect(self, token: str) -> None:
        if not self.accept(token):
            self.fail(f'"{token}"')

    def match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def space(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1

    def end(self) -> None:
        if self.at < len(self.text):
            self.fail("end of input")

    def either(self, first: Callable[[], T | None]) -> T | None:
        """What `first` reads, or None and the old place when it reads nothing."""
        start = self.at
        result = first()
        if result is None:
            self.at = start
        return result

    def nested(self, inside: Callable[[], T]) -> T:
        """`(`, what `inside` reads, `)`."""
        self.expect("(")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"at most {MAX_DEPTH} nested parentheses")
        result = inside()
        self.expect(")")
        self.depth -= 1
        return result

    def comma_list(self, item: Callable[[], T]) -> tuple[T, ...]:
        items = [item()]
        while self.accept(","):
            items.append(item())
        return tuple(items)

    # -- words -----------------------------------------------------------------------------------

    def quoted(self) -> str | None:
        """`"a, \\"b\\""`: anything, with backslash escapes; None where no closed quote begins here."""
        if not self.text.startswith('"', self.at):
            return None
        value, at = [], self.at + 1
        while at < len(self.text) and self.text[at] != '"':
            if self.text[at] == "\\" and at + 1 < len(self.text):
                at += 1
            value.append(self.text[at])
            at += 1
        if at >= len(self.text):
            return None
        self.at = at + 1
        return "".join(value)

    def at_name(self) -> bool:
        return self.text.startswith('"', self.at) or _NAME.match(self.text, self.at) is not None

    def name(self) -> str:
        quoted = self.quoted()
        if quoted is not None:
            return quoted
        found = self.match(_NAME)
        if found is None or not found.strip():
            self.fail("field name (* or [a..z0..9_$])")
        return found.strip()

    def field(self) -> Field:
        self.space()
        name, path = self.name(), []
        while self.text.startswith("->", self.at):
            as_text = self.accept("->>") or not self.accept("->")
            index = self.match(_JSON_INDEX)
            if index is not None:
                path.append(JsonStep(int(index), as_text))
                continue
            key = self.quoted()
            if key is None:
                key = (self.match(_JSON_KEY) or "").strip()
                if not key:
                    self.fail("any non reserved character different from: .,>()")
            path.append(JsonStep(key, as_text))
        self.space()
        return Field(name, tuple(path))

    def alias(self) -> str | None:
        def one() -> str | None:
            if not self.at_name():
                return None
            name = self.name()
            if self.text.startswith("::", self.at) or not self.accept(":"):
                return None
            return name

        return self.either(one)
