"""What the tests of the command line find without importing it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cli_fixtures import *  # noqa: F403 - fixtures, found by name
