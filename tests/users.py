"""A user without any configuration, with a home folder of the test's own, and a Git that knows only what it is told."""

import os
from contextlib import contextmanager

import pytest

GIT = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.invalid",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.invalid",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
OTHERS = ("KIST_", "GIT_", "XDG_")
"""How the variables begin that the tests' own environment must not bring in."""


def environment(home, plugins=None):
    """The variables of a fresh user.

    Args:
        home: the home folder.
        plugins: where the plugin index is kept, a folder in *home* if None.

    Returns:
        What to set. No power cut is played, so nothing waits for the disk.
    """
    return {
        **GIT,
        "HOME": str(home),
        "KIST_CACHE_HOME": str(plugins or home / "plugins"),
        "KIST_SYSTEM_CONFIG": str(home / "no-system.yaml"),
        "KIST_FSYNC": "off",
    }


def become(patch, home, plugins=None):
    """Make this process one of a fresh user.

    Args:
        patch: a ``pytest.MonkeyPatch``, which takes it back.
        home: the home folder.
        plugins: see ``environment``.
    """
    for name in [name for name in os.environ if name.startswith(OTHERS)]:
        patch.delenv(name)
    for name, value in environment(home, plugins).items():
        patch.setenv(name, value)


@contextmanager
def fresh(factory, *, loaded=False):
    """A fresh user for as long as a ``with`` statement lasts.

    Args:
        factory: pytest's ``tmp_path_factory``, which makes the home folder.
        loaded: whether to import all of kist first, so that forks are quick.

    Yields:
        The patch that did it.
    """
    with pytest.MonkeyPatch.context() as patch:
        become(patch, factory.mktemp("home"))
        if loaded:
            from warm import load_all

            load_all()
        yield patch
