"""No secret of an account shows, wherever it stands and whatever is done."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest

from servers.azurite import ACCOUNT, KEY, Azurite
from servers.blob_stub import Reply, blob_stub
from servers.planted import REFUSED, Planted, nothing_shows, refused_words

WRONG_KEY = base64.b64encode(b"planted key that is not the one of the account, 64 bytes in all").decode()
PRINCIPAL = {"client_id": "planted-app", "tenant_id": "planted-tenant"}
SECRET = "planted~client.secret_of-a-principal"


def connection_string(server: Azurite, container: str) -> dict:
    return {"local": {"connection_string": server.connection_string}}


def account_key(server: Azurite, container: str) -> dict:
    return {"user": {"account_key": KEY}}


def key_in_the_environment(server: Azurite, container: str) -> dict:
    return {"env": {"AZURE_STORAGE_KEY": KEY}}


def string_in_the_environment(server: Azurite, container: str) -> dict:
    return {"env": {"AZURE_STORAGE_CONNECTION_STRING": server.connection_string}}


def sas_token(server: Azurite, container: str) -> dict:
    token = server.sas(container, write=True)
    return {"local": {"sas_token": f"?{token}"}, "secrets": [token, *parse_qs(token)["sig"]]}


def sas_in_the_environment(server: Azurite, container: str) -> dict:
    token = server.sas(container, write=True)
    return {"env": {"AZURE_STORAGE_SAS_TOKEN": token}, "secrets": [token, *parse_qs(token)["sig"]]}


PLACES = [
    connection_string,
    sas_token,
    account_key,
    key_in_the_environment,
    string_in_the_environment,
    sas_in_the_environment,
]


@pytest.mark.parametrize("place", PLACES)
def test_what_works(place: Callable[[Azurite, str], dict], azurite: Azurite, tmp_path) -> None:
    container = azurite.make_container()
    given = {"secrets": [KEY], **place(azurite, container)}
    options = {"account_name": ACCOUNT, "endpoint": azurite.endpoint, "retries": "0"}
    brief = place not in (connection_string, sas_token)
    nothing_shows(tmp_path, Planted(f"az://{container}/team", options=options, brief=brief, **given))


@pytest.mark.parametrize("option", ["account_key", "sas_token"])
def test_what_is_refused(option: str, azurite: Azurite, tmp_path) -> None:
    """By a server that sends back what it got."""
    signature = "cGxhbnRlZCBzaWduYXR1cmUgb2YgYSB0b2tlbg=="
    token = "sv=2024-11-04&sp=rl&se=2020-01-01&sig=cGxhbnRlZCBzaWduYXR1cmUgb2YgYSB0b2tlbg%3D%3D"
    value, secrets = {"account_key": (WRONG_KEY, [WRONG_KEY]), "sas_token": (token, [token, signature])}[option]
    details = {"AuthenticationErrorDetail": f"Signature did not match: {value.replace('&', '&amp;')}"}
    with blob_stub(Reply(403, "AuthenticationFailed", f"{signature} is wrong", details=details)) as stub:
        options = {"account_name": "account1", "endpoint": stub.endpoint, "retries": "0"}
        where = Planted("az://box/team", secrets, options=options, local={option: value}, codes=REFUSED)
        nothing_shows(tmp_path, where)


def test_principal_that_cannot_sign_in(azurite: Azurite, tmp_path) -> None:
    """There is no Microsoft Entra ID here: the request for a token fails, and tells of no secret."""
    options = {"account_name": ACCOUNT, "endpoint": azurite.endpoint, "retries": "0", "connect_timeout": "1"}
    local = {**PRINCIPAL, "client_secret": SECRET}
    nothing = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    where = Planted("az://box/team", [SECRET], options=options, local=local, env=nothing, codes=REFUSED, brief=True)
    nothing_shows(tmp_path, where)


def test_what_may_not_stand_there(tmp_path) -> None:
    """In a URL, in an address, in what Git keeps, or in an option of no such name."""
    token = "sv=2024-11-04&sig=cGxhbnRlZCBzaWduYXR1cmUgb2YgYSB0b2tlbg%3D%3D"
    refused_words(
        tmp_path,
        Planted("az://box/team", [token.partition("sig=")[2], WRONG_KEY]),
        ["remote", "add", "other", f"az://box/team?{token}"],
        ["remote", "add", "other", f"az://account1:{WRONG_KEY}@box/team"],
        ["remote", "modify", "store", "endpoint", f"https://account1.blob.core.windows.net/?{token}"],
        ["remote", "modify", "--tracked", "store", "sas_token", token],
        ["remote", "modify", "--tracked", "store", "account_kee", WRONG_KEY],
        ["config", "--tracked", "remote.store.connection_string", f"AccountName=account1;AccountKey={WRONG_KEY}"],
    )
