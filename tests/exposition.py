"""Reads metrics as Prometheus does, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import servers
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client.samples import Sample


class Exposition:
    """What `/metrics` said at one moment."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self.samples: list[Sample] = [sample for family in self.families for sample in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of all samples of that name that have those labels."""
        return sum(
            sample.value for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    def by(self, label: str, name: str) -> dict[str, float]:
        """Return the sums of the samples of that name by the value of `label`."""
        values = {sample.labels[label] for sample in self.samples if sample.name == name}
        return {value: self.sum(name, **{label: value}) for value in sorted(values)}


def scrape(server: servers.Address) -> Exposition:
    """Return what the server says at `/metrics`."""
    answer = server.ask("/metrics")
    assert answer.status == 200
    return Exposition(answer.content.decode())


def wait_for(server: servers.Address, value: float, name: str, **labels: str) -> None:
    """Wait until the samples of that name and those labels add up to `value`."""
    servers.wait_until(lambda: scrape(server).sum(name, **labels) == value, f"{name} {labels} to be {value:g}")
