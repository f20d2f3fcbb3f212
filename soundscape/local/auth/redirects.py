"""Where a browser may be sent: `site_url` and `additional_redirect_urls`, and nowhere else."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit, urlunsplit

from starlette.requests import Request

from soundscape.local.auth.errors import AuthError

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
        self._patterns = [_glob(pattern) for pattern in patterns]

    def target(self, request: Request, asked: str | None = None) -> str:
        """The address asked for (parameter or header `redirect_to`, else the Referer) where it is
        allowed, and `site_url` otherwise."""
        if asked is None:
            asked = request.headers.get("redirect_to") or request.query_params.get("redirect_to", "")
        for candidate in (asked, request.headers.get("referer", "")):
            if self.allows(candidate):
                return candidate
        return self.site_url

    def allows(self, address: str) -> bool:
        if not address or _CONTROL.search(address):
            return False
        try:
            base, asked = urlsplit(self.site_url), urlsplit(address)
            host, port = asked.hostname or "", asked.port
        except ValueError:
            return False
        if asked.username is not None:
            return False
        same_port = base.port == port or _is_loopback(host)
        if host and (base.scheme, base.hostname) == (asked.scheme, host) and same_port:
            return True
        if host.isdigit():
            return False
        if _is_address(host):
            if not _is_loopback(host):
                return False
        elif asked.scheme in ("http", "https") and not _HOSTNAME.fullmatch(host):
            return False
        return any(pattern.fullmatch(address.partition("#")[0]) for pattern in self._patterns)


def with_query(address: str, **parameters: str) -> str:
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | parameters
    return urlunsplit(parts._replace(query=urlencode(query)))


def with_fragment(address: str, parameters: dict[str, str]) -> str:
    return urlunsplit(urlsplit(address)._replace(fragment=urlencode(sorted(parameters.items()))))


def with_error(address: str, error: AuthError, *, in_query: bool) -> str:
    """The error in the fragment, and in the query too for a client that waits for a code there."""
    said = {"error_code": error.code, "error_description": error.message}
    if error.status in OAUTH_ERRORS:
        said = {"error": OAUTH_ERRORS[error.status]} | said
    text = urlencode(said)
    return urlunsplit(urlsplit(address)._replace(query=text if in_query else "", fragment=text))


def with_message(address: str, message: str, *, in_query: bool) -> str:
    moved = with_query(address, message=message) if in_query else address
    return urlunsplit(urlsplit(moved)._replace(fragment=f"message={quote_plus(message)}"))


def _glob(pattern: str) -> re.Pattern[str]:
    """`*` stops at `.` and `/`, `**` at nothing, `?` is one character that is neither."""
    wild = {"**": ".*", "*": "[^./]*", "?": "[^./]"}
    pieces = re.split(r"(\*\*|\*|\?)", pattern)
    return re.compile("".join(wild.get(piece) or re.escape(piece) for piece in pieces))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)
