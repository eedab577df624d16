"""The pytest plugin of kist, active wherever kist-core and pytest are installed: so it is light and changes nothing.

It gives fixtures (all named ``kist_…``, made from nothing but the standard library until they are used) and tells in
the summary which contract tests a test suite replaced, with the reason.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kist.api import Repo

_REPLACED = pytest.StashKey[dict[str, str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Note the contract tests that were replaced by ``@overrides_contract``."""
    overrides = sys.modules.get("kist.testing.overrides")
    if overrides is None:  # a suite without contracts
        return
    replaced = config.stash.setdefault(_REPLACED, {})
    for item in items:
        reason = getattr(getattr(item, "function", None), overrides.REASON, None)
        if reason:
            replaced[item.nodeid.partition("[")[0]] = str(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show them: a contract that is kept in part only must be seen."""
    replaced = config.stash.get(_REPLACED, {})
    if replaced:
        terminalreporter.section("contract tests replaced")
        for test, reason in sorted(replaced.items()):
            terminalreporter.line(f"{test}: {reason}")


@pytest.fixture
def kist_object_bytes() -> dict[str, bytes]:
    """Contents that have shown defects before, by what is special about them."""
    return {
        "empty": b"",
        "one byte": b"\0",
        "line ends": b"one\r\ntwo\nthree\r",
        "not text": bytes(range(256)) * 3,
        "a page": bytes(4096),
        "over a page": b"x" * 4097,
        "over a buffer": bytes(range(251)) * ((1 << 20) // 251 + 1),
    }


@pytest.fixture
def kist_tree(tmp_path: Path, kist_object_bytes: dict[str, bytes]) -> Path:
    """A folder with each kind of entry: files, an executable, links, an empty folder, names that are not UTF-8."""
    root = tmp_path / "tree"
    for number, content in enumerate(kist_object_bytes.values()):
        file = root / f"level {number % 3}" / f"file-{number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    script = root / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    (root / "empty").mkdir()
    (root / "link").symlink_to("level 0/file-0.bin")
    (root / "dangling").symlink_to("nowhere")
    (root / "ünïcode").write_text("ü")
    try:
        (root / os.fsdecode(b"latin-\xe9")).write_text("é")
    except OSError:  # a file system that takes UTF-8 only
        (root / "latin-e").write_text("é")
    return root


@pytest.fixture
def kist_repo(tmp_path: Path) -> Repo:
    """A fresh repository, without Git, in a folder of its own."""
    from kist.api import Repo

    root = tmp_path / "repository"
    root.mkdir()
    return Repo.init(root)
