"""A folder on ``sys.path`` in which tests install small distributions."""

import importlib
import itertools
import sys

import pytest

_numbers = itertools.count()


class Site:
    """A site-packages folder of the test's own."""

    def __init__(self, folder):
        self.folder = folder
        self.modules = []

    def install(self, distribution, entry_points, code=None, version="1.0"):
        """Install a distribution; *entry_points* is {group: {key: module}}, *code* {module: source}."""
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = []
        for group, keys in entry_points.items():
            lines += [f"[kist.{group}]", *(f"{key} = {module}" for key, module in keys.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, source in (code or {}).items():
            (self.folder / f"{module}.py").write_text(source)
            self.modules.append(module)
        importlib.invalidate_caches()
        return info


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / f"site{next(_numbers)}"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("KIST_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("KIST_DISABLE_PLUGINS", raising=False)
    monkeypatch.delenv("KIST_TRACE_PLUGINS", raising=False)
    _forget_stevedore()
    site = Site(folder)
    yield site
    for module in site.modules:
        sys.modules.pop(module, None)
    _forget_stevedore()


def _forget_stevedore():
    from stevedore import ExtensionManager

    ExtensionManager.ENTRY_POINT_CACHE.clear()
