"""The places of the tests of resuming: each behind a proxy that cuts, with a count of what went over the line."""

import contextlib
import json

from servers.azurite import ACCOUNT, KEY, azurite_server
from servers.drive import running as drive_server
from servers.faultproxy import proxied
from servers.radosgw import running_radosgw
from servers.scenario import Place
from servers.sshd import running as ssh_server
from servers.webdav import install_plugin


@contextlib.contextmanager
def webdav(folder, bandwidth, server):
    """A WebDAV server through fsspec."""
    plugin = install_plugin(folder / "plugin")
    with proxied(server.port, bandwidth=bandwidth) as proxy:
        arguments = json.dumps({**server.arguments(port=proxy.port), "timeout": 20})
        env = {"PYTHONPATH": str(plugin), "KIST_CACHE_HOME": str(folder / "index")}
        yield Place(f"webdav://{server.make_folder()}", local={"storage_options": arguments}, env=env), proxy


@contextlib.contextmanager
def s3(folder, bandwidth):
    """Ceph's S3 gateway."""
    with running_radosgw(folder) as server, proxied(_port(server.endpoint), bandwidth=bandwidth) as proxy:
        options = {"endpoint_url": f"http://127.0.0.1:{proxy.port}"}
        keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key}
        yield Place(f"s3://{server.make_bucket()}/store", options, keys), proxy


@contextlib.contextmanager
def ssh(folder, bandwidth):
    """OpenSSH's server."""
    with ssh_server(folder) as server, proxied(server.port, bandwidth=bandwidth) as proxy:
        known = server.know(proxy.port, "known_proxy")
        config = server.write_config("proxied", Port=proxy.port, UserKnownHostsFile=known)
        yield Place(f"ssh://server{folder}/store", local={"config_file": str(config)}), proxy


@contextlib.contextmanager
def azure(folder, bandwidth):
    """Azurite."""
    with azurite_server(folder) as server, proxied(server.port, bandwidth=bandwidth) as proxy:
        endpoint = server.endpoint.replace(str(server.port), str(proxy.port))
        options = {"account_name": ACCOUNT, "endpoint": endpoint}
        yield Place(f"az://{server.make_container()}/store", options, {"account_key": KEY}), proxy


@contextlib.contextmanager
def gdrive(folder, bandwidth):
    """The fake of Google Drive, which is a proxy itself."""
    with drive_server(folder) as server, proxied(server.port, bandwidth=bandwidth) as proxy:
        key = folder / "account.json"
        key.write_text(server.service_account())
        way = f"http://127.0.0.1:{proxy.port}"
        env = {**server.env, "https_proxy": way, "HTTPS_PROXY": way}
        yield Place(f"gdrive://{server.control('folder')}", local={"credentials_file": str(key)}, env=env), proxy


def _port(endpoint):
    return int(endpoint.rpartition(":")[2])
