"""A folder on ``sys.path`` in which tests install small distributions."""

import pytest

from sites import installed


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("KIST_DISABLE_PLUGINS", raising=False)
    monkeypatch.delenv("KIST_TRACE_PLUGINS", raising=False)
    with installed(tmp_path, monkeypatch) as site:
        yield site
