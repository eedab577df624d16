"""The sources under test, as syntax trees."""

import ast
import functools
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Module:
    """One Python file of a distribution."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    def __repr__(self):
        return self.name

    def imports(self):
        """(module, names, line) of every import that runs; those under TYPE_CHECKING do not."""
        skipped = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                skipped |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
        for node in ast.walk(self.tree):
            if id(node) in skipped:
                continue
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, (), node.lineno
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{self.path}:{node.lineno}: imports are absolute"
                yield node.module, tuple(alias.name for alias in node.names), node.lineno


@functools.cache
def modules_of(source):
    """Every module below a ``src`` folder."""
    found = []
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        text = path.read_text(encoding="utf-8")
        found.append(Module(name, path, text, ast.parse(text)))
    return found


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def core():
    """The modules of kist-core."""
    return modules_of(ROOT / "core" / "src")


@pytest.fixture(scope="session")
def plugins():
    """The modules of every plugin, the tutorial's example included."""
    sources = [*ROOT.glob("plugins/*/src"), ROOT / "docs" / "tutorial" / "example-plugin" / "src"]
    return [module for source in sorted(sources) for module in modules_of(source)]
