"""One connection to a server: sends a request again where that is safe and may help."""

from __future__ import annotations

import email.utils
import http.client
import random
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from modelport.runtime.errors import InvalidSettingError, named, shortened

from .errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONNECTIONS: Final = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
_AGAIN: Final = (429, 503)
#: Seconds before a request is sent again: the first pause, doubled each time up to the last, less up to a half.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Reply(NamedTuple):
    """What the server sent back; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Sends requests to the server of `url`, one after the other.

    Scoring changes nothing on the server, so whatever broke off is sent again, and so is what came back as 429 or 503:
    after the pause that `Retry-After` asks for, else after a growing one. `attempts` bounds how often, `timeout` the
    seconds of all attempts together, and of each wait for the server.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str], timeout: float, attempts: int) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _CONNECTIONS or not parts.hostname:
            raise InvalidSettingError(f"url {named(url)}: expected http://HOST or https://HOST, got another kind")
        if timeout <= 0 or attempts < 1:
            raise InvalidSettingError(f"timeout, attempts: expected more than 0, got {timeout:g} and {attempts}")
        self.path = parts.path.rstrip("/")
        self._address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._timeout, self._attempts = timeout, attempts
        self._headers = dict(headers)
        self._connection = _CONNECTIONS[parts.scheme](parts.hostname, parts.port, timeout=timeout)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Return the server's reply, whatever its status; raises `UnreachableError` when there is none."""
        deadline = monotonic() + self._timeout
        backoff = _FIRST_PAUSE
        reply: Reply | None = None
        failed: Exception | None = None
        for left in reversed(range(self._attempts)):
            reused = self._connection.sock is not None
            reply = failed = None
            try:
                reply = self._once(method, path, body, {**self._headers, **(headers or {})}, deadline)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                failed = error
                pause = 0.0 if reused else None  # a server may close a connection that rests
            else:
                if reply.status not in _AGAIN:
                    return reply
                pause = _retry_after(reply)
            if pause is None:
                pause = backoff * random.uniform(0.5, 1)  # noqa: S311  so that clients do not come back together
                backoff = min(2 * backoff, _LONGEST_PAUSE)
            if not left or monotonic() + pause >= deadline:
                break
            sleep(pause)
        if reply is not None:
            return reply
        reason = shortened(str(failed) or type(failed).__name__, 200)
        raise UnreachableError(f"server {self._address}: expected an answer, got {reason}") from failed

    def _once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], deadline: float) -> Reply:
        connection = self._connection
        connection.timeout = max(0.001, deadline - monotonic())
        if connection.sock is None:
            connection.connect()  # which asks for TCP_NODELAY itself
        connection.sock.settimeout(connection.timeout)
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        content = response.read()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, content)


def _retry_after(reply: Reply) -> float | None:
    """Return the seconds that `Retry-After` asks to wait, a number or a date (RFC 9110, 10.2.3); None without."""
    text = reply.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time())
    except (TypeError, ValueError):
        return None
