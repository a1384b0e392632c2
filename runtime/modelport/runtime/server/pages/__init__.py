"""The pages of the server: whole in one answer each, with nothing from elsewhere."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from modelport.runtime.server.responses import Response

# A page names the files that it shares with others as a browser would look for them; they are put in their place.
_STYLE: Final = re.compile(r'<link rel="stylesheet" href="(\w+\.css)">')
_SCRIPT: Final = re.compile(r'<script src="(\w+\.js)"></script>')
_INLINE: Final = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)


@cache
def page(name: str) -> Response:
    """Return the page called `name`: `docs` or `console`."""
    text = _SCRIPT.sub(lambda match: f"<script>{_read(match[1])}</script>", _read(f"{name}.html"))
    text = _STYLE.sub(lambda match: f"<style>{_read(match[1])}</style>", text)
    headers = (
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", _policy(text)),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
    )
    return Response(200, headers, text.encode())


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


def _policy(text: str) -> str:
    """Return what the page may do: run and look like its own parts, by their hashes, and ask its own server.

    No other site frames it, and no text becomes markup: scripts that would make it so fail (Trusted Types).
    """
    hashes: dict[str, list[str]] = {"style": [], "script": []}
    for kind, content in _INLINE.findall(text):
        hashes[kind].append(f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'")
    return (
        f"default-src 'none'; script-src {' '.join(hashes['script'])}; style-src {' '.join(hashes['style'])}; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
