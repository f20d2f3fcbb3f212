"""The words of mails and pushes: every kind in every language, and what a title cannot do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from soundscape.project.outbox import Delivery
from soundscape.worker.letters import (
    LANGUAGES,
    MAX_TITLE_CHARS,
    clean_title,
    read_words,
    write_letter,
    write_notice,
    write_unsubscribe_page,
)
from tests.waiting import LIMIT_S

ROOT = Path(__file__).resolve().parents[2]
DIGEST = {"ready": 3, "likes": 1, "collected": 0, "liked": [{"id": "a", "title": "Rain", "likes": 1}]}


def a_delivery(*content: dict[str, Any], locale: str = "en") -> Delivery:
    return Delivery("d", "t", "email", 1, "u", locale, "a@b.test", None, None, None, list(content))


def entry(kind: str, count: int, *titles: str) -> dict[str, Any]:
    recordings = [{"id": str(number), "title": title} for number, title in enumerate(titles)]
    return {"kind": kind, "count": count} | ({"recordings": recordings} if titles else {})


def registered_kinds() -> set[str]:
    """Those that migrations put into the registry."""
    found: set[str] = set()
    for path in (ROOT / "supabase" / "migrations").glob("*.sql"):
        for statement in re.findall(
            r"insert into soundscape\.notification_kinds[^;]*;", path.read_text(), re.DOTALL
        ):
            found |= set(re.findall(r"^\s*\('([a-z_]+)'", statement, re.MULTILINE))
    return found


def leaves(words: dict[str, Any], path: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in words.items():
        found |= leaves(value, f"{path}{name}.") if isinstance(value, dict) else {path + name: value}
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_words_in_every_language(language: str) -> None:
    words = read_words(language)
    kinds = registered_kinds()
    assert {"recording_ready", "weekly_digest", "image_refused"} <= kinds
    assert set(words["kinds"]) == set(words["page"]["kinds"]) == kinds
    english, others = leaves(read_words("en")), leaves(words)
    assert english.keys() == others.keys()
    for name, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) >= set(re.findall(r"\{\w+\}", others[name])), name
    for kind in kinds:
        digest = {"digest": DIGEST} if kind == "weekly_digest" else {}
        for content in (entry(kind, 1), entry(kind, 1, "Rain"), entry(kind, 47, "Rain", "Wind")):
            letter = write_letter(
                a_delivery(content | digest, locale=language), site_url=None, unsubscribe_url="https://u"
            )
            assert letter.subject
            assert "{" not in letter.subject + letter.text


def test_many_are_one_sentence_and_some_titles() -> None:
    content = entry("recording_ready", 47, *(f"Sound {number}" for number in range(10)))
    letter = write_letter(
        a_delivery(content), site_url="https://soundscape.test", unsubscribe_url="https://u"
    )
    assert letter.subject == "47 recordings are ready."
    assert letter.text.count("https://soundscape.test/recordings/") == 10
    assert "and 37 more" in letter.text
    several = write_letter(
        a_delivery(content, entry("export_ready", 1)), site_url=None, unsubscribe_url="https://u"
    )
    assert several.subject == "47 recordings are ready. And 1 more."


@pytest.mark.parametrize(
    ("content", "path"),
    [
        (entry("recording_failed", 1, "Rain"), "/recordings/0"),
        (entry("recording_ready", 2, "Rain", "Wind"), "/library"),
        (entry("export_ready", 1), "/account"),
        (entry("quota_nearly_full", 1), "/library"),
    ],
)
def test_where_a_push_leads(content: dict[str, Any], path: str) -> None:
    assert write_notice(a_delivery(content)).path == path


@given(st.text())
def test_a_title_is_one_short_line_of_visible_characters(title: str) -> None:
    cleaned = clean_title(title)
    assert len(cleaned) <= MAX_TITLE_CHARS
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", cleaned)
    html = write_letter(
        a_delivery(entry("recording_failed", 1, title)), site_url=None, unsubscribe_url="https://u"
    ).html
    assert html.count("<h2") == html.count("</h2>") == 1
    assert html.count("<script") == 0


def test_a_picture_of_the_mail(tmp_path: Path) -> None:
    """On a narrow phone nothing is cut off: the edge of the picture is the background alone."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not here")
    titles = ("Regen auf Blech", "صوت المطر على السطح في ليلة طويلة", "x" * 200)
    letter = write_letter(
        a_delivery(entry("recording_ready", 47, *titles), entry("export_ready", 1), locale="de"),
        site_url="https://soundscape.test",
        unsubscribe_url="https://worker.soundscape.test/api/notifications/unsubscribe?token=" + "x" * 200,
    )
    pages = {"mail": letter.html, "page": write_unsubscribe_page("de", ["recording_liked"], state="ask")}
    for name, html in pages.items():
        (tmp_path / f"{name}.html").write_text(html)
        picture = tmp_path / f"{name}.png"
        subprocess.run(
            [
                *(program, "--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=500,1200"),
                *(f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}"),
                (tmp_path / f"{name}.html").as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=LIMIT_S,
        )
        with Image.open(picture) as image:
            pixels = image.convert("RGB")
            width, height = pixels.size
            assert len(pixels.getcolors(maxcolors=1 << 20)) > 20, "something is drawn"
            edge = {pixels.getpixel((width - 1, y)) for y in range(height)}
            assert len(edge) == 1, f"{name} is wider than the screen"
