"""Numbers are put into words as people say them."""

from __future__ import annotations

import pytest

from modelport.runtime.cli.options import names_of
from modelport.runtime.cli.wording import counted, sized


@pytest.mark.parametrize(("count", "text"), [(0, "0 rows"), (1, "1 row"), (20190, "20,190 rows")])
def test_a_count_has_its_noun(count: int, text: str) -> None:
    assert counted(count, "row") == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (2_500_000_000, "2.5 GB")],
)
def test_a_size_has_the_unit_that_suits_it(size: int, text: str) -> None:
    assert sized(size) == text


def test_names_stand_between_commas() -> None:
    assert names_of(" cuda, cpu ,,") == ("cuda", "cpu")
    assert names_of("") == ()
