"""The parity report as one self-contained HTML page."""

from .page import render, write_page

__all__ = ["render", "write_page"]
