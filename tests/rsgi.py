"""What RSGI hands to an application, made by hand, for tests: `import rsgi`."""

from __future__ import annotations


class Headers(dict[str, str]):
    """A request's headers, each name once."""

    def get_all(self, name: str) -> list[str]:
        """Return the values of `name`."""
        return [self[name]] if name in self else []
