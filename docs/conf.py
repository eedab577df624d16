"""How the documentation is built; see the environment ``docs`` of tox.ini."""

import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "kist"
author = "the kist authors"
release = version = _PROJECT["version"]

extensions = ["myst_parser", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "changes", "tutorial/example-plugin"]

myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
myst_enable_extensions = ["fieldlist"]

html_theme = "furo"
html_title = "kist"
nitpicky = True
