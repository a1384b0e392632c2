"""Reads an HTML page as a test wants it: its text, its elements and their attributes, strictly nested."""

from __future__ import annotations

from html.parser import HTMLParser

_VOID = {"meta", "link"}


class Reader(HTMLParser):
    """Fails on an element that is not closed in order.

    `text` is all text outside style sheets with single spaces, and with `x` for the multiplication sign; `styles` are
    the style sheets; `names` are the elements and `attributes` the values by attribute.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names: set[str] = set()
        self.attributes: dict[str, set[str | None]] = {}
        self.styles = ""
        self._open: list[str] = []
        self._texts: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            self.styles += data
        else:
            self._texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._texts).split()).replace("\N{MULTIPLICATION SIGN}", "x")
