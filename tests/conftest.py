"""Fixtures for every test."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))  # `import tiny_models`; the tests are no package

settings.register_profile("modelport", deadline=None)  # no test depends on how busy the machine is
settings.load_profile("modelport")
