"""Fixtures for every test."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # `import tiny_models`; the tests are no package
