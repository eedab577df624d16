"""Loads all that commands need, so that forks are quick."""

import importlib
import pkgutil


def load_all():
    """Import every module of kist that a command may use."""
    import kist
    import kist_local

    for package in (kist, kist_local):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            name = module.name
            if name.endswith(("__main__", ".pytest_plugin")) or ".testing" in name or "fsspec" in name:
                continue
            importlib.import_module(name)
    for other in ("kist_accel", "kist_blake3", "sqlite3", "pickle", "multiprocessing"):
        try:
            importlib.import_module(other)
        except ImportError:
            continue
