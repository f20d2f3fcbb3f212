"""Allowed redirects: `site_url` and `additional_redirect_urls`."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit, urlunsplit

from starlette.requests import Request

from embedded_supabase.auth.errors import AuthError

_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?")
_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")
OAUTH_ERRORS = {
    400: "invalid_request",
    401: "unauthorized_client",
    403: "access_denied",
    500: "server_error",
    503: "temporarily_unavailable",
}


class Redirects:
    """The allow list of one project."""

    def __init__(self, site_url: str, patterns: tuple[str, ...]) -> None:
        self.site_url = site_url
        self._patterns = [_compile_glob(pattern) for pattern in patterns]

    def choose_target(self, request: Request, asked: str = "") -> str:
        """The first allowed one: `asked` (or `redirect_to` of header or query), the Referer, `site_url`."""
        asked = asked or request.headers.get("redirect_to") or request.query_params.get("redirect_to", "")
        allowed = filter(self.allows, (asked, request.headers.get("referer", "")))
        return next(allowed, self.site_url)

    def allows(self, address: str) -> bool:
        if not address or _CONTROL.search(address):
            return False
        try:
            site, asked = urlsplit(self.site_url), urlsplit(address)
            host, port, number = asked.hostname or "", asked.port, _parse_address(asked.hostname)
        except ValueError:
            return False
        if asked.username is not None:
            return False
        is_loopback = number is not None and number.is_loopback
        same_port = site.port == port or is_loopback
        if host and (site.scheme, site.hostname) == (asked.scheme, host) and same_port:
            return True
        if host.isdigit() or (number and not is_loopback):
            return False
        if asked.scheme in ("http", "https") and not number and not _HOSTNAME.fullmatch(host):
            return False
        return any(pattern.fullmatch(address.partition("#")[0]) for pattern in self._patterns)


def add_query(address: str, **parameters: str) -> str:
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | parameters
    return urlunsplit(parts._replace(query=urlencode(query)))


def add_session(address: str, session: dict[str, Any], **more: str) -> str:
    """Add a session to the fragment, which only the browser sees."""
    names = ("access_token", "token_type", "expires_in", "expires_at", "refresh_token")
    carried = sorted({**{name: session[name] for name in names}, **more}.items())
    return urlunsplit(urlsplit(address)._replace(fragment=urlencode(carried)))


def add_error(address: str, error: AuthError, *, in_query: bool) -> str:
    """Add an error to the fragment, and to the query for a client that expects a code there."""
    parameters = {"error_code": error.code, "error_description": error.message}
    if error.status in OAUTH_ERRORS:
        parameters = {"error": OAUTH_ERRORS[error.status]} | parameters
    text = urlencode(parameters)
    return urlunsplit(urlsplit(address)._replace(query=text if in_query else "", fragment=text))


def add_message(address: str, message: str, *, in_query: bool) -> str:
    moved = add_query(address, message=message) if in_query else address
    return urlunsplit(urlsplit(moved)._replace(fragment=f"message={quote_plus(message)}"))


def _compile_glob(pattern: str) -> re.Pattern[str]:
    """`*` matches no `.` or `/`, `**` matches all, `?` is one character other than those two."""
    wild = {"**": ".*", "*": "[^./]*", "?": "[^./]"}
    pieces = re.split(r"(\*\*|\*|\?)", pattern)
    return re.compile("".join(wild.get(piece) or re.escape(piece) for piece in pieces))


def _parse_address(host: str | None) -> IPv4Address | IPv6Address | None:
    """The IP address of a host that is written as one."""
    try:
        return ip_address("127.0.0.1" if host == "localhost" else host or "")
    except ValueError:
        return None
