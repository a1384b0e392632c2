"""What several stories begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from shelves import Shelf

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A shelf with the packages `one`, `two` and `three`, which shows `one`."""
    shelf = Shelf(tmp_path)
    for number, name in enumerate(("one", "two", "three"), 1):
        shelf.put(name, number)
    shelf.show("one")
    return shelf
