"""A text being read: a place in it, words, and where it stopped making sense."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

from soundscape.local.rest.errors import refusal
from soundscape.local.rest.syntax import Field, JsonStep

MAX_DEPTH = 30
"""Parentheses inside parentheses; more would only exhaust somebody's stack."""

_NAME = re.compile(r"[\w $]+(?:-(?!>)[\w $]+)*")
_JSON_KEY = re.compile(r"[^(\-:.,>)]+(?:-(?!>)[^(\-:.,>)]+)*")
_JSON_INDEX = re.compile(r"-?[0-9]{1,18}(?=->|::|\.|,|\)|$)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

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
        place = f'"failed to parse {self.what} ({self.text})" (line 1, column {self.at + 1})'
        raise refusal("PGRST100", place, details=f"{found} expecting {expecting}")

    def sees(self, token: str) -> bool:
        return self.text.startswith(token, self.at)

    def accept(self, token: str) -> bool:
        found = self.sees(token)
        if found:
            self.at += len(token)
        return found

    def expect(self, token: str) -> None:
        if not self.accept(token):
            self.fail(f'"{token}"')

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def space(self) -> None:
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1

    def ends(self, *closing: str) -> bool:
        """Whether the text, or the item that one of `closing` ends, is over."""
        return self.at == len(self.text) or self.text[self.at] in closing

    def end(self) -> None:
        if not self.ends():
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

    def comma_list(self, item: Callable[[], T], *, spaced: bool = True) -> tuple[T, ...]:
        """Items between commas; spaces around them are passed over when `spaced`."""
        items: list[T] = []
        while not items or self.accept(","):
            if spaced:
                self.space()
            items.append(item())
            if spaced:
                self.space()
        return tuple(items)

    # -- words -----------------------------------------------------------------------------------

    def quoted(self) -> str | None:
        """`"a, \\"b\\""`: anything, with backslash escapes; None where no closed quote begins here."""
        found = self.match(_QUOTED)
        return None if found is None else _ESCAPED.sub(r"\1", found[1])

    def word(self, pattern: re.Pattern[str], expecting: str) -> str:
        found = self.match(pattern)
        if found is None or not found[0].strip():
            self.fail(expecting)
        return found[0].strip()

    def name(self) -> str:
        quoted = self.quoted()
        return quoted if quoted is not None else self.word(_NAME, "field name (* or [a..z0..9_$])")

    def at_name(self) -> bool:
        return self.sees('"') or _NAME.match(self.text, self.at) is not None

    def field(self) -> Field:
        self.space()
        name, path = self.name(), []
        while self.sees("->"):
            as_text = self.accept("->>") or not self.accept("->")
            index = self.match(_JSON_INDEX)
            key: str | int | None = int(index[0]) if index else self.quoted()
            if key is None:
                key = self.word(_JSON_KEY, "any non reserved character different from: .,>()")
            path.append(JsonStep(key, as_text))
        self.space()
        return Field(name, tuple(path))

    def alias(self) -> str | None:
        if not self.at_name():
            return None
        name = self.name()
        return None if self.sees("::") or not self.accept(":") else name
