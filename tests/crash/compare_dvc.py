"""The same kills for DVC: ``python tests/crash/compare_dvc.py PYTHON``, where PYTHON is the interpreter of an environment
with DVC in it. It prints for add and checkout how many points leave a repository that needs a person.

A point counts as broken if afterwards ``dvc status`` fails, the repeated command fails, its result differs from that of a
run which was not killed, or an object of the cache does not have the content that its name says.
"""

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import layers


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python", help="the interpreter of an environment with DVC")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = layers.build(folder)
        assert library is not None, "a C compiler is needed"
        here = Path(__file__).parent
        variables = {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": str(here.parent)}
        subprocess.run([arguments.python, here / "dvc_points.py"], env=variables, check=True)


if __name__ == "__main__":
    main()
