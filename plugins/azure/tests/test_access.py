"""Where a remote is and which credentials it uses, decided without asking anybody."""

from __future__ import annotations

import base64
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from kist.abc import RemoteScope, RemoteURL
from kist.errors import InvalidOption, RemoteAuthError
from kist_azure.access import Access, choose_access, secrets_of
from kist_azure.address import is_providers_own, parse_address
from kist_azure.identity import claimed_name
from kist_azure.options import AzureOptions
from kist_azure.remote import AzureRemote
from servers.azurite import FakeCredential, access_token

KEY = base64.b64encode(b"k" * 64).decode()
OTHER = base64.b64encode(b"o" * 64).decode()
SAS = "sv=2024-11-04&sp=rl&se=2030-01-01&sig=c2VjcmV0IHNpZ25hdHVyZQ%3D%3D"
STRING = f"DefaultEndpointsProtocol=https;AccountName=account1;AccountKey={KEY};EndpointSuffix=core.windows.net"
USUAL = "https://account1.blob.core.windows.net"


def choose(text: str = "az://box", env: dict[str, str] | None = None, **options: Any) -> Access:
    chosen = AzureOptions.from_mapping(options, env=env)
    return choose_access(parse_address(RemoteURL.parse(text), chosen.endpoint), chosen, env or {})


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("az://box", ("box", "", None, None)),
            ("azure://box/", ("box", "", None, None)),
            ("az://box/a/b/", ("box", "a/b", None, None)),
            ("az://box/a%20b", ("box", "a b", None, None)),
            ("az://$web/a", ("$web", "a", None, None)),
            ("abfs://box@account1.dfs.core.windows.net/a", ("box", "a", "account1", USUAL)),
            ("az://box@account1.blob.core.windows.net/a", ("box", "a", "account1", USUAL)),
            (
                "abfs://box@account1.z12.dfs.storage.azure.net",
                ("box", "", "account1", "https://account1.z12.blob.storage.azure.net"),
            ),
            (
                "abfs://box@account1.dfs.core.chinacloudapi.cn",
                ("box", "", "account1", "https://account1.blob.core.chinacloudapi.cn"),
            ),
            ("abfs://box@files.example.com:8443/a", ("box", "a", None, "https://files.example.com:8443")),
        ],
    )
    def test_forms(self, text, expected) -> None:
        found = parse_address(RemoteURL.parse(text), None)
        assert (found.container, found.prefix, found.account, found.endpoint) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "az://",
            "az:///box",
            "az://Box",
            "az://bo",
            "az://box_1",
            "az://-box",
            "az://box--1",
            "az://account1.blob.core.windows.net/box",
            "az://box:443/a",
            "az://box/a//b",
            "az://box/../b",
            "az://box/a?sig=c2VjcmV0",
        ],
    )
    def test_typing_errors(self, text) -> None:
        with pytest.raises(InvalidOption) as caught:
            parse_address(RemoteURL.parse(text), None)
        assert caught.value.hint
        assert "c2VjcmV0" not in caught.value.message

    @pytest.mark.parametrize("endpoint", ["ftp://host", "https://", "https://user@host", "https://host/?a=b", "//"])
    def test_wrong_endpoints(self, endpoint) -> None:
        with pytest.raises(InvalidOption):
            parse_address(RemoteURL.parse("az://box"), endpoint)

    @pytest.mark.parametrize(
        ("endpoint", "own"),
        [
            (USUAL, True),
            ("https://account1.blob.core.usgovcloudapi.net", True),
            ("http://account1.blob.core.windows.net", False),
            ("https://account1.blob.core.windows.net.example.com", False),
            ("https://account1.blob.core.windows.net:8443", False),
            ("https://example.com/account1.blob.core.windows.net", False),
            ("https://user@account1.blob.core.windows.net", False),
            ("https://127.0.0.1", False),
        ],
    )
    def test_providers_own(self, endpoint, own) -> None:
        assert is_providers_own(endpoint) is own


class TestChoice:
    @pytest.mark.parametrize(
        ("options", "kind", "identity"),
        [
            ({"anonymous": True, "account_key": KEY}, "anonymous", "anonymous"),
            ({"account_key": KEY, "sas_token": SAS}, "key", "account key of account1"),
            ({"sas_token": f"?{SAS}"}, "sas", "SAS token (rights rl, until 2030-01-01)"),
            ({"connection_string": STRING, "account_key": OTHER}, "key", "account key of account1"),
            (
                {"client_id": "app", "client_secret": "hush-hush-hush", "tenant_id": "t"},
                "principal",
                "service principal app of tenant t",
            ),
            ({"client_id": "app"}, "chain", "managed identity app"),
            ({}, "chain", "whoever the credential chain finds"),
        ],
    )
    def test_precedence(self, options, kind, identity) -> None:
        found = choose(account_name="account1", **options)
        assert (found.kind, found.identity, found.endpoint) == (kind, identity, USUAL)
        assert found.tried[-1] == (found.source, "taken")

    def test_what_is_configured_comes_before_the_environment(self) -> None:
        env = {"AZURE_STORAGE_CONNECTION_STRING": STRING}
        assert choose(env=env, account_name="account1", sas_token=SAS).kind == "sas"
        assert choose(env=env).source == "variable AZURE_STORAGE_CONNECTION_STRING"

    def test_environment_of_another_account_is_not_used(self) -> None:
        env = {"AZURE_STORAGE_CONNECTION_STRING": STRING.replace("account1", "account2")}
        found = choose("abfs://box@account1.dfs.core.windows.net", env=env)
        assert found.kind == "chain"
        assert ("variable AZURE_STORAGE_CONNECTION_STRING", "it is for the account account2") in found.tried
        env = {"AZURE_STORAGE_ACCOUNT": "account2", "AZURE_STORAGE_KEY": KEY}
        assert choose(env=env, account_name="account1").kind == "chain"
        found = choose(env=env)
        assert (found.kind, found.account) == ("key", "account2")

    def test_configuration_that_contradicts_itself(self) -> None:
        for options in (
            {"connection_string": STRING, "account_name": "account2"},
            {"connection_string": "AccountName=account1"},
            {"connection_string": "nonsense"},
            {"account_name": "account1", "client_id": "app", "client_secret": "hush-hush-hush"},
            {"account_name": "Account/1", "account_key": KEY},
            {},
        ):
            with pytest.raises(InvalidOption) as caught:
                choose(**options)
            assert KEY not in caught.value.message

    def test_secrets_in_every_spelling(self) -> None:
        options = AzureOptions(connection_string=f"{STRING};SharedAccessSignature={SAS}", sas_token=SAS)
        found = secrets_of(options, choose(account_name="account1", sas_token=SAS))
        assert {KEY, SAS, "c2VjcmV0IHNpZ25hdHVyZQ%3D%3D", "c2VjcmV0IHNpZ25hdHVyZQ=="} <= set(found)

    def test_secrets_are_not_in_the_repr(self) -> None:
        assert KEY not in repr(choose(connection_string=STRING))
        assert KEY not in repr(AzureOptions(connection_string=STRING, account_key=KEY))


def test_every_option_is_described_in_the_readme() -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert set(rows) == {one.name for one in fields(AzureOptions)}
    for one in fields(AzureOptions):
        default, variable, meaning = (cell.strip().strip("`") for cell in rows[one.name].split("|"))
        assert meaning == one.metadata["help"]
        assert variable == (one.metadata["env"] or "")
        plain = "" if one.default is None else str(one.default).lower()
        assert default == ("secret" if one.metadata["secret"] else plain)


class TestTrust:
    def open(self, text: str = "az://box", *, trusted: bool, **options: Any) -> AzureRemote:
        return AzureRemote.from_url(RemoteURL.parse(text), AzureOptions(**options), RemoteScope("far", trusted=trusted))

    def test_azures_own_hosts_get_credentials(self) -> None:
        self.open(trusted=False, account_name="account1", account_key=KEY)
        self.open("abfs://box@account1.dfs.core.windows.net", trusted=False, sas_token=SAS)
        self.open("abfs://box@account1.dfs.core.windows.net", trusted=False)

    @pytest.mark.parametrize("options", [{"account_key": KEY}, {"sas_token": SAS}, {}])
    def test_others_do_not(self, options) -> None:
        for where in ({"endpoint": "https://example.com/account1"}, {"text": "abfs://box@example.com/a"}):
            with pytest.raises(RemoteAuthError) as caught:
                self.open(trusted=False, account_name="account1", **where, **options)
            assert "kist remote trust far" in (caught.value.hint or "")
            assert not [one for one in (KEY, SAS) if one in caught.value.message]
            self.open(trusted=True, account_name="account1", **where, **options)

    def test_without_credentials_any_place_will_do(self) -> None:
        self.open(trusted=False, anonymous=True, endpoint="https://example.com/account1")

    def test_users_own_connection_string_may_lead_anywhere(self) -> None:
        text = f"BlobEndpoint=https://example.com/account1;AccountName=account1;AccountKey={KEY}"
        self.open(trusted=False, connection_string=text)


class TestChain:
    """The usual chain, with a fake in its place."""

    def test_identity_and_source_are_told(self, monkeypatch) -> None:
        monkeypatch.setattr("azure.identity.aio.DefaultAzureCredential", FakeCredential)
        remote = AzureRemote.from_url(RemoteURL.parse("az://box"), AzureOptions(account_name="account1"))
        pairs = remote.describe_access()
        remote.close()
        assert ("signed in by", "FakeCliCredential") in pairs
        assert ("identity", "somebody@example.invalid of tenant fake-tenant") in pairs
        assert not [text for _, text in pairs if access_token().split(".")[1] in text]

    def test_nobody_is_signed_in(self, monkeypatch) -> None:
        class Nobody(FakeCredential):
            async def get_token(self, *_scopes: str, **_options: Any) -> Any:
                from azure.core.exceptions import ClientAuthenticationError

                raise ClientAuthenticationError("DefaultAzureCredential failed to retrieve a token.\nTried: …")

        monkeypatch.setattr("azure.identity.aio.DefaultAzureCredential", Nobody)
        remote = AzureRemote.from_url(RemoteURL.parse("az://box"), AzureOptions(account_name="account1"))
        assert "got no credentials" in dict(remote.describe_access())["identity"]
        with pytest.raises(RemoteAuthError, match="failed to retrieve a token") as caught:
            list(remote.list())
        assert "kist doctor --remote" in (caught.value.hint or "")
        remote.close()

    def test_client_ids_reach_azure_identity(self, monkeypatch) -> None:
        from kist_azure.connection import make_credential

        monkeypatch.setattr("azure.identity.aio.DefaultAzureCredential", FakeCredential)
        options = AzureOptions(account_name="account1", client_id="app")
        credential = make_credential(choose(account_name="account1", client_id="app"), options)
        assert credential.options == {"managed_identity_client_id": "app"}

    def test_key_that_is_no_key(self) -> None:
        remote = AzureRemote.from_url(
            RemoteURL.parse("az://box"), AzureOptions(account_name="account1", account_key="not a key at all")
        )
        with pytest.raises(InvalidOption, match="base64") as caught:
            list(remote.list())
        assert "not a key at all" not in caught.value.message
        remote.close()

    @pytest.mark.parametrize("token", ["", "a", "a.b.c", "a.bm90IGpzb24.c", "a.W10.c"])
    def test_tokens_that_tell_nothing(self, token) -> None:
        assert claimed_name(token) == ""
