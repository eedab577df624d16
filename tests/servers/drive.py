"""A fake of Google Drive for tests: real clients speak to it through a proxy on loopback.

It was written after Google's documentation of Drive API v2 and OAuth 2.0. It is not checked against Google: what it
shows is that the client speaks the API as it is documented, not that Google behaves as the fake does.
"""

import base64
import contextlib
import html
import http.client
import json
import re
import ssl
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from servers.drive_login import CLIENT, TOKEN_URI
from servers.processes import free_port, served, unavailable

KEY_SECRET = "planted-key-id"


class DriveServer:
    """One running fake, and what tests may do behind the API.

    Args:
        port: where it listens.
        folder: where its certificate and key are.

    Attributes:
        env: the environment that sends an unchanged client here and nowhere else.
        client: id and secret of its OAuth client.
    """

    def __init__(self, port, folder):
        self.port, self.folder = port, Path(folder)
        self.client = CLIENT
        proxy = f"http://127.0.0.1:{port}"
        self.env = {
            "https_proxy": proxy,
            "HTTPS_PROXY": proxy,
            "HTTPLIB2_CA_CERTS": str(self.folder / "ca.pem"),
            "no_proxy": "127.0.0.1,localhost",
        }

    def control(self, do, **told):
        """Command the fake."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", "/control", json.dumps({"do": do, **told}))
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            return json.loads(answer.read())

    def requests(self):
        """What clients have asked since the last call, a line each."""
        return self.control("log")

    def fault(self, match, **how):
        """Make the next requests that match fail: ``status`` and ``reason``, ``drop``, ``corrupt``; ``times``, ``skip``."""
        self.control("faults", faults=[{"match": match, **how}])

    def service_account(self, name="writer"):
        """The JSON of a key of a service account; ``reader`` may only read, ``stranger`` sees nothing, ``gone`` is gone."""
        key = {
            "type": "service_account",
            "project_id": "tests",
            "private_key_id": KEY_SECRET,
            "private_key": (self.folder / "key.pem").read_text(),
            "client_email": f"{name}@tests.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": TOKEN_URI,
        }
        return json.dumps(key)

    @property
    def secrets(self):
        """Texts that nobody may show."""
        key = (self.folder / "key.pem").read_text().splitlines()
        return (CLIENT["client_secret"], "planted-access-", "planted-refresh-", "planted-code-", KEY_SECRET, *key[1:4])

    def browse(self, url, answer="allow"):
        """Do what a person does with the page of consent; returns what the last page says."""
        proxy = urllib.request.ProxyHandler({"https": f"http://127.0.0.1:{self.port}"})
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        opener = urllib.request.build_opener(proxy, urllib.request.HTTPSHandler(context=context))
        with opener.open(url, timeout=20) as page:
            link = re.search(f'id="{answer}" href="([^"]+)"', page.read().decode())[1]
        with opener.open("https://accounts.google.com" + html.unescape(link), timeout=20) as page:
            return page.read().decode()

    def browse_soon(self, url, answer="allow"):
        """Browse in a thread of its own, as the person at the terminal waits."""
        thread = threading.Thread(target=self.browse, args=(url, answer), daemon=True)
        thread.start()
        return thread


class RawFolder:
    """A back door to a folder of the fake.

    Args:
        server: the fake.
        folder: the folder's id.
    """

    def __init__(self, server, folder):
        self.server, self.folder = server, folder

    def entries(self):
        """(key, id) of every file that is not in the bin."""
        return [(key, name) for key, name, is_folder, gone in self.tree() if not is_folder and not gone]

    def tree(self):
        """(path, id, is a folder, is in the bin) of everything."""
        return self.server.control("tree", folder=self.folder)

    def keys(self):
        """Every file's key."""
        return [key for key, _ in self.entries()]

    def read(self, key):
        """The bytes of a file."""
        return base64.b64decode(self.server.control("read", name=dict(self.entries())[key]))

    def write(self, key, data):
        """Replace a file, or add one."""
        there = dict(self.entries())
        if key in there:
            self.server.control("replace", name=there[key], data=_text(data))
        else:
            self.add(key, data)

    def add(self, key, data, **more):
        """Add a file, also beside another of the same name; returns its id."""
        folder, _, title = key.rpartition("/")
        return self.server.control("write", parent=self.make(folder), title=title, data=_text(data), **more)

    def make(self, path):
        """The id of a folder, made where it is missing."""
        at, seen = self.folder, ""
        for part in path.split("/") if path else []:
            seen = f"{seen}/{part}".lstrip("/")
            there = [name for key, name, is_folder, gone in self.tree() if is_folder and key == seen and not gone]
            at = there[0] if there else self.server.control("folder", parent=at, title=part)
        return at


def _text(data):
    return base64.b64encode(data).decode()


@contextlib.contextmanager
def running(folder):
    """Run the fake while the block runs."""
    try:
        import cryptography  # noqa: F401
    except ImportError:
        unavailable("no cryptography here, which makes the certificates of the fake: pip install ./plugins/gdrive")
    port = free_port()
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-P", "-m", "servers.drive_server", port, folder]
    with served(command, folder, port, {"PYTHONPATH": str(tests)}):
        yield DriveServer(port, folder)


@pytest.fixture(scope="session")
def drive_server(tmp_path_factory):
    """A fake of Google Drive."""
    with running(tmp_path_factory.mktemp("drive")) as server:
        yield server
