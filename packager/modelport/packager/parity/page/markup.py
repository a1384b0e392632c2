"""HTML and SVG elements, built so that no text gets in unescaped."""

from __future__ import annotations

import html
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Categories of characters that are not seen, or that move those beside them: controls, formats, surrogates, breaks.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


class Markup(str):
    """Text that is markup already; `element` and `joined` make it, everything else is escaped."""

    __slots__ = ()


def element(name: str, *children: str | None, **attributes: str | float | None) -> Markup:
    """Return the element `name` around `children`, escaping those that are no `Markup`; None is left out.

    A trailing underscore of an attribute's name is dropped (`class_`) and an inner one becomes a hyphen
    (`aria_label`). The text is well-formed as HTML and as XML, so only elements that have an end tag can be made.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Iterable[str | None]) -> Markup:
    """Return `children` one after the other, escaping those that are no `Markup`; None is left out."""
    parts = (child for child in children if child is not None)
    return Markup("".join(part if isinstance(part, Markup) else escaped(part) for part in parts))


def scrollable(child: Markup, label: str) -> Markup:
    """Return `child` in a region that scrolls sideways, by keyboard too, where the screen is narrow."""
    return element("div", child, class_="scroll", role="region", aria_label=label, tabindex="0")


def prose(text: str) -> Markup:
    """Return `text` as markup, what stands between backticks as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        return escaped(text)
    return joined(element("code", part) if index % 2 else part for index, part in enumerate(parts))


def escaped(text: str) -> Markup:
    """Return `text` as markup that shows it: special characters escaped, unseen ones made visible."""
    return Markup(html.escape(visible(text)))


def visible(text: str) -> str:
    r"""Return `text` with every character that cannot be seen written as Python writes it, such as `\x00`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _written(character) if unicodedata.category(character) in _UNSEEN else character for character in text
    )


def _written(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
