"""A folder on ``sys.path`` in which tests install small distributions."""

import contextlib
import importlib
import sys

from kist.plugins.index import forget_listings


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


@contextlib.contextmanager
def installed(folder, patch):
    """A site while the block runs; afterwards its modules are forgotten.

    Args:
        folder: a folder for the site and the plugin index.
        patch: a ``pytest.MonkeyPatch``.
    """
    place = folder / f"site{len(list(folder.glob('site*')))}"
    place.mkdir()
    patch.syspath_prepend(str(place))
    patch.setenv("KIST_CACHE_HOME", str(folder / "cache"))
    forget_listings()
    site = Site(place)
    yield site
    for module in site.modules:
        sys.modules.pop(module, None)
    forget_listings()
