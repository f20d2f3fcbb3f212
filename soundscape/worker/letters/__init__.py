"""What mails and pushes say, in the recipient's language. The words are in `en.toml` and `de.toml`."""

from __future__ import annotations

import tomllib
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from soundscape.project.outbox import Delivery

LANGUAGES = ("en", "de")
MAX_TITLE_CHARS = 80
MAX_SUBJECT_CHARS = 150
ACCOUNT_PATH = "/account"
PREFERENCES_PATH = "/account/notifications"
PAGES = {"export_ready": ACCOUNT_PATH, "export_failed": ACCOUNT_PATH, "quota_nearly_full": "/library"}
"""Where a kind that is about no recording leads to in the frontend."""

_templates = Environment(
    loader=PackageLoader("soundscape.worker.letters", ""),
    autoescape=select_autoescape(("html.j2",)),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Letter:
    """A mail's words."""

    language: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Notice:
    """A push's words, and the page that it opens."""

    language: str
    title: str
    body: str
    path: str


def choose_language(locale: str) -> str:
    """The language of ours that fits a language tag (BCP 47); English if none does."""
    language = locale.partition("-")[0].lower()
    return language if language in LANGUAGES else LANGUAGES[0]


@cache
def read_words(language: str) -> dict[str, Any]:
    """The words of a language."""
    text = files(__name__).joinpath(f"{language}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def clean_title(title: str) -> str:
    """A title as one short line, without characters that change what stands around them."""
    visible = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in title)
    line = " ".join(visible.split())
    return line if len(line) <= MAX_TITLE_CHARS else f"{line[: MAX_TITLE_CHARS - 1].rstrip()}…"


def write_letter(delivery: Delivery, *, site_url: str | None, unsubscribe_url: str) -> Letter:
    """Write a mail.

    Parameters
    ----------
    delivery
        What it tells, and the recipient's language.
    site_url
        Where the frontend is, for links. None: there are none.
    unsubscribe_url
        Where a link ends mails like this one.
    """
    language = choose_language(delivery.locale)
    words = read_words(language)
    sections = [_make_section(entry, words, site_url) for entry in delivery.content]
    values = {
        "language": language,
        "words": words,
        "sections": sections,
        "subject": _make_subject(sections, words),
        "preferences_url": site_url and site_url + PREFERENCES_PATH,
        "unsubscribe_url": unsubscribe_url,
    }
    return Letter(
        language=language,
        subject=str(values["subject"]),
        text=_templates.get_template("mail.txt.j2").render(values),
        html=_templates.get_template("mail.html.j2").render(values),
    )


def write_notice(delivery: Delivery) -> Notice:
    """Write a push."""
    language = choose_language(delivery.locale)
    words = read_words(language)
    sections = [_make_section(entry, words, "") for entry in delivery.content]
    only = delivery.content[0] if len(delivery.content) == 1 else {}
    recordings = only.get("recordings", [])
    path = PAGES.get(only.get("kind", ""), ACCOUNT_PATH if not recordings else "/library")
    if len(recordings) == 1:
        path = f"/recordings/{recordings[0]['id']}"
    return Notice(
        language=language,
        title=sections[0]["sentence"],
        body=" ".join(section["sentence"] for section in sections[1:]),
        path=path,
    )


def write_unsubscribe_page(language: str, kinds: list[str], *, state: str) -> str:
    """Write the page behind a mail's link. `state` is `ask`, `done` or `invalid`."""
    page = read_words(language)["page"]
    return _templates.get_template("unsubscribe.html.j2").render(
        language=language,
        page=page,
        sentence=page[state],
        kinds=[kind for kind in kinds if kind in page["kinds"]],
        asks=state == "ask",
    )


def _make_section(entry: dict[str, Any], words: dict[str, Any], site_url: str | None) -> dict[str, Any]:
    sentences = words["kinds"][entry["kind"]]
    recordings = [
        {
            "title": clean_title(recording["title"]),
            "url": None if site_url is None else f"{site_url}/recordings/{recording['id']}",
        }
        for recording in entry.get("recordings", [])
    ]
    facts: list[str] = []
    digest = entry.get("digest")
    if digest is not None:
        facts = [
            words["digest"][name].format(count=digest[name])
            for name in ("ready", "likes", "collected")
            if digest[name]
        ]
        recordings = [
            {
                "title": clean_title(liked["title"]),
                "url": None if site_url is None else f"{site_url}/recordings/{liked['id']}",
            }
            for liked in digest["liked"]
        ]
    count = entry["count"]
    if count == 1 and recordings and digest is None:
        sentence = sentences["one"].format(title=words["quoted"].format(title=recordings[0]["title"]))
    else:
        sentence = sentences["nameless" if count == 1 else "many"].format(count=count)
    is_listed = len(recordings) > 1 or digest is not None
    url = recordings[0]["url"] if len(recordings) == 1 and not is_listed else None
    if not recordings and site_url is not None and entry["kind"] in PAGES:
        url = site_url + PAGES[entry["kind"]]
    hidden = count - len(recordings)
    return {
        "sentence": sentence,
        "facts": facts,
        "recordings": recordings if is_listed else [],
        "more": words["more"].format(count=hidden) if hidden > 0 and len(recordings) > 1 else None,
        "url": url,
    }


def _make_subject(sections: list[dict[str, Any]], words: dict[str, Any]) -> str:
    first = str(sections[0]["sentence"])
    if len(sections) > 1:
        first = words["news"].format(first=first, count=len(sections) - 1)
    return first if len(first) <= MAX_SUBJECT_CHARS else f"{first[: MAX_SUBJECT_CHARS - 1]}…"
