"""The allow list, pattern by pattern."""

from __future__ import annotations

import pytest

from embedded_supabase.auth.redirects import Redirects, add_query

SITE = "http://127.0.0.1:3000"


@pytest.mark.parametrize(
    ("pattern", "address", "allowed"),
    [
        ("https://a.com/*", "https://a.com/x", True),
        ("https://a.com/*", "https://a.com/x/y", False),  # one star stops at a slash
        ("https://a.com/*", "https://a.com/x.html", False),  # and at a dot
        ("https://a.com/**", "https://a.com/x/y.html?z=1", True),
        ("https://*.a.com/", "https://b.a.com/", True),
        ("https://*.a.com/", "https://b.c.a.com/", False),
        ("https://a.com/?", "https://a.com/x", True),
        ("https://a.com/", "https://a.com/#fragment", True),
        ("https://a.com", "https://axcom", False),  # a dot is a dot
        ("myapp://callback", "myapp://callback", True),
        ("myapp://callback", "otherapp://callback", False),
        ("https://a.com/**", "https://user@a.com/", False),
        ("**", "https://2130706433/", False),  # 127.0.0.1 in disguise
        ("**", "https://8.8.8.8/", False),
        ("**", "https://a_b.com/", False),
        ("**", "https://a.com/\nx", False),
        ("https://a.com/**", "", False),
    ],
)
def test_patterns(pattern: str, address: str, allowed: bool) -> None:
    assert Redirects(SITE, (pattern,)).allows(address) is allowed


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("http://127.0.0.1:3000/anywhere?x=1", True),
        ("http://127.0.0.1:9999/", True),  # native apps listen on any loopback port (RFC 8252)
        ("https://127.0.0.1:3000/", False),
        ("http://localhost:3000/", False),
        ("http://127.0.0.1:bad/", False),
        ("http://[::1/", False),
    ],
)
def test_the_site_itself(address: str, allowed: bool) -> None:
    assert Redirects(SITE, ()).allows(address) is allowed


def test_other_sites_keep_their_port() -> None:
    redirects = Redirects("https://site.com", ())
    assert redirects.allows("https://site.com/x")
    assert not redirects.allows("https://site.com:8443/x")


def test_a_query_is_kept() -> None:
    assert add_query("https://a.com/x?y=1&z=#f", code="c d") == "https://a.com/x?y=1&z=&code=c+d#f"
