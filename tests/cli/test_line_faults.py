"""A WebDAV server whose line half-closes, and that accepts a password no longer."""

import json

import pytest

from servers.faultproxy import proxied
from servers.misbehaving import Line, Misbehaving
from servers.scenario import Place
from servers.webdav import install_plugin, webdav  # noqa: F401 (a fixture)


class TestWebDav(Misbehaving):
    @pytest.fixture
    def line(self, webdav, tmp_path):  # noqa: F811
        plugin = install_plugin(tmp_path / "plugin")
        with proxied(webdav.port, http=True) as gate, proxied(gate.port) as proxy:
            arguments = {**webdav.arguments(port=proxy.port), "timeout": 5}
            env = {"PYTHONPATH": str(plugin), "KIST_CACHE_HOME": str(tmp_path / "index")}
            url = f"webdav://{webdav.make_folder()}"

            def refuse(every):
                gate.faults.status, gate.faults.status_every = 401, every

            place = Place(url, local={"storage_options": json.dumps(arguments)}, env=env, secrets=[webdav.password])
            yield Line(place, proxy, lambda: refuse(1), lambda: refuse(0))
