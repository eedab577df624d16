"""``python tests/benchmarks``: finds the package wherever it is started from."""

import runpy
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
runpy.run_module("benchmarks.suite", run_name="__main__")
