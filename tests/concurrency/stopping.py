"""Run ``kist`` as a program that stops itself at one place: ``python stopping.py MODULE FUNCTION WORD…``."""

import importlib
import sys

from concurrency_support import stop_at

from kist.cli.main import main

if __name__ == "__main__":
    stop_at(importlib.import_module(sys.argv[1]), sys.argv[2])
    sys.exit(main(sys.argv[3:]))
