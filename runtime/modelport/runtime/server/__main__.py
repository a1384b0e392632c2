"""`python -m modelport.runtime.server`: serves a package, told what to do by the environment alone."""

from __future__ import annotations

import os
import sys

from modelport.runtime.errors import ModelportError
from modelport.runtime.settings import resolve

from .supervisor import serve


def main() -> int:
    """Serve, and return the exit status: 0 stopped, 1 what was asked for cannot be, 2 requests were left unanswered."""
    try:
        return serve(resolve({}, os.environ))
    except ModelportError as error:
        hint = f"\n\nhint: {error.hint}" if error.hint else ""
        print(f"error: {error.message}{hint}", file=sys.stderr)  # noqa: T201  the last word, before or after any log
        return 1


if __name__ == "__main__":
    sys.exit(main())
