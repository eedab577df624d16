"""Where credentials come from, who gets them, and what is told of it."""

from __future__ import annotations

import json
import sys
import time
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kist.abc import RemoteScope
from kist.errors import InvalidOption, RemoteAuthError
from kist_s3.credentials import Profile, resolve, shortened
from kist_s3.options import S3Options
from kist_s3.remote import S3Remote
from servers.s3_stub import Stub

KEYS = {"access_key_id": "OPTIONSKEYID00000000", "secret_access_key": "options-secret"}
CONFIG = """
[default]
region = eu-central-1

[profile team]
region = ap-south-1
endpoint_url = http://127.0.0.1:9

[profile process]
credential_process = {python} -c "print('{answer}')"

[profile role]
region = eu-west-1
role_arn = arn:aws:iam::123456789012:role/team
source_profile = default

[profile nowhere]
role_arn = arn:aws:iam::123456789012:role/team
source_profile = default

[profile broken]
credential_process = {python} -c "raise SystemExit('planted-in-the-output')"
"""
ROLE = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<Credentials><AccessKeyId>ROLEKEYID00000000000</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey>
<SessionToken>role-token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>"""
CREDENTIALS = """
[default]
aws_access_key_id = FILEKEYID00000000000
aws_secret_access_key = file-secret

[team]
aws_access_key_id = TEAMKEYID00000000000
aws_secret_access_key = team-secret
aws_session_token = team-token
"""


@pytest.fixture
def aws_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with profiles."""
    answer = {
        "Version": 1,
        "AccessKeyId": "PROCESSKEYID00000000",
        "SecretAccessKey": "process-secret",
        "SessionToken": "process-token",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    quoted = json.dumps(answer).replace('"', '\\"')
    (tmp_path / "config").write_text(CONFIG.format(python=sys.executable, answer=quoted))
    (tmp_path / "credentials").write_text(CREDENTIALS)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def container(name: str, *, minutes: int) -> str:
    """What the metadata addresses of containers and instances answer."""
    until = datetime.now(UTC) + timedelta(minutes=minutes)
    return json.dumps(
        {
            "Code": "Success",
            "AccessKeyId": "CONTAINER0000000000",
            "SecretAccessKey": f"{name}-secret",
            "Token": f"{name}-token",
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )


def in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVKEYID000000000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "env-token")


def found(**options):
    chosen = S3Options(**options)
    identity = resolve(chosen, Profile(chosen))
    given = identity.give() if identity.give else {}
    return identity, (given.get("access_key_id"), given.get("secret_access_key"), given.get("token"))


class TestSources:
    def test_options_first(self, aws_files, monkeypatch) -> None:
        in_environment(monkeypatch)
        identity, given = found(**KEYS)
        assert given == ("OPTIONSKEYID00000000", "options-secret", None)
        assert str(identity) == "access key OPTI…0000 from the remote's options"

    def test_environment_before_files(self, aws_files, monkeypatch) -> None:
        in_environment(monkeypatch)
        identity, given = found()
        assert given == ("ENVKEYID000000000000", "env-secret", "env-token")
        assert identity.source == "the environment"
        assert identity.temporary

    def test_a_profile_that_was_chosen_before_the_environment(self, aws_files, monkeypatch) -> None:
        in_environment(monkeypatch)
        identity, given = found(profile="team")
        assert given == ("TEAMKEYID00000000000", "team-secret", "team-token")
        assert identity.source == "the credentials file"

    def test_files(self, aws_files) -> None:
        identity, given = found()
        assert given == ("FILEKEYID00000000000", "file-secret", None)
        assert identity.tried[0] == "the remote's options"
        assert identity.tried[1] == "the environment"
        assert identity.tried[-1] == "the credentials file"

    def test_profile_of_the_environment(self, aws_files, monkeypatch) -> None:
        monkeypatch.setenv("AWS_PROFILE", "team")
        assert found()[1][0] == "TEAMKEYID00000000000"

    def test_process(self, aws_files) -> None:
        identity, given = found(profile="process")
        assert given == ("PROCESSKEYID00000000", "process-secret", "process-token")
        assert identity.source == "a credential process"
        assert set(identity.secrets()) == {"process-secret", "process-token"}

    @pytest.mark.parametrize("profile", ["role", "nowhere"])
    def test_role(self, aws_files, s3_stub: Stub, monkeypatch, profile) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_stub.endpoint)
        s3_stub.pages["/"] = ROLE
        identity, given = found(profile=profile)
        assert given == ("ROLEKEYID00000000000", "role-secret", "role-token")
        assert identity.source == "an assumed role"

    def test_role_that_is_refused(self, aws_files, s3_stub: Stub, monkeypatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_stub.endpoint)
        s3_stub.reply(403, "AccessDenied", more="<Quoted>file-secret</Quoted>")
        with pytest.raises(RemoteAuthError, match="cannot be had") as caught:
            found(profile="role")
        assert "file-secret" not in "".join(traceback.format_exception(caught.value))

    def test_role_of_the_container_is_renewed(self, s3_stub: Stub, monkeypatch) -> None:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{s3_stub.endpoint}/container")
        s3_stub.pages["/container"] = container("first", minutes=5)
        identity, given = found()
        assert given == ("CONTAINER0000000000", "first-secret", "first-token")
        assert identity.source == "the container's role"
        s3_stub.pages["/container"] = container("second", minutes=60)
        assert identity.give()["secret_access_key"] == "second-secret"

    def test_role_of_the_instance(self, s3_stub: Stub, monkeypatch) -> None:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", s3_stub.endpoint)
        s3_stub.pages["/latest/api/token"] = "token"
        s3_stub.pages["/latest/meta-data/iam/security-credentials/"] = "role"
        s3_stub.pages["/latest/meta-data/iam/security-credentials/role"] = container("instance", minutes=60)
        identity, given = found()
        assert given[1] == "instance-secret"
        assert identity.source == "the instance's role"

    def test_machine_without_a_metadata_address(self, monkeypatch) -> None:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
        began = time.monotonic()
        with pytest.raises(RemoteAuthError, match="no credentials"):
            found()
        assert time.monotonic() - began < 10

    def test_anonymous(self, aws_files) -> None:
        identity, given = found(anonymous=True)
        assert identity.give is None
        assert given == (None, None, None)
        assert "anonymous" in str(identity)

    def test_nothing(self) -> None:
        with pytest.raises(RemoteAuthError, match="no credentials") as caught:
            found()
        assert "the instance's role" in caught.value.message
        assert "aws configure" in str(caught.value.hint)

    def test_error_names_the_remote(self) -> None:
        with pytest.raises(RemoteAuthError, match=r"^remote store: there are no credentials") as caught:
            S3Remote(("bucket", ""), S3Options(), RemoteScope("store")).stat("one")
        assert caught.value.remote == "store"
        assert "kist remote modify --local store" in str(caught.value.hint)

    def test_profile_that_is_not_there(self, aws_files) -> None:
        with pytest.raises(RemoteAuthError, match="nobody"):
            found(profile="nobody")

    def test_process_that_fails(self, aws_files) -> None:
        with pytest.raises(RemoteAuthError) as caught:
            found(profile="broken")
        assert "planted" not in caught.value.message

    def test_no_metadata_address_is_asked_for_keys_that_are_there(self, monkeypatch) -> None:
        """Explicit keys need no botocore at all."""
        monkeypatch.setitem(sys.modules, "botocore.session", None)
        assert found(**KEYS)[1][0] == "OPTIONSKEYID00000000"
        in_environment(monkeypatch)
        assert found()[1][0] == "ENVKEYID000000000000"


class TestPlaces:
    def place(self, **options):
        return S3Remote(("bucket", ""), S3Options(**options), RemoteScope("store"))._client.address()

    def test_region_of_the_profile(self, aws_files) -> None:
        assert self.place().region == "eu-central-1"
        assert self.place(profile="team").region == "ap-south-1"
        assert self.place(region="us-west-2").region == "us-west-2"

    def test_region_of_the_environment(self, aws_files, monkeypatch) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "sa-east-1")
        assert self.place().region == "sa-east-1"

    def test_endpoint_of_the_profile(self, aws_files) -> None:
        assert self.place(profile="team").endpoint == "http://127.0.0.1:9"
        assert self.place(profile="team", endpoint_url="https://other.example").endpoint == "https://other.example"

    def test_endpoint_of_the_environment(self, monkeypatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        assert self.place().endpoint == "http://127.0.0.1:9"
        monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
        assert self.place().endpoint == "https://s3.us-east-1.amazonaws.com"

    def test_variables_of_other_programs_change_nothing(self, s3_stub: Stub, monkeypatch, tmp_path) -> None:
        """obstore reads variables of its own making; what kist was told counts."""
        monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_BUCKET", "other")
        monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "of-other-keys")
        monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
        remote = S3Remote(("bucket", ""), S3Options(endpoint_url=s3_stub.endpoint, **KEYS))
        s3_stub.reply(204)
        remote.delete("objects/one")
        assert s3_stub.requests == [("DELETE", "/bucket/objects/one")]
        sent = {name.lower(): value for name, value in s3_stub.seen[0].items()}
        assert "OPTIONSKEYID00000000" in sent["authorization"]
        assert "x-amz-security-token" not in sent


class TestTrust:
    UNTRUSTED = RemoteScope("store", trusted=False)

    def test_endpoint_that_only_a_clone_names(self, s3_stub: Stub) -> None:
        remote = S3Remote(("bucket", ""), S3Options(endpoint_url=s3_stub.endpoint, **KEYS), self.UNTRUSTED)
        for call in (lambda: remote.stat("one"), lambda: list(remote.list()), remote.describe_access):
            with pytest.raises(RemoteAuthError, match="gets no credentials") as caught:
                call()
            assert caught.value.hint == "if you know that place, run 'kist remote trust store'"
        assert s3_stub.requests == []

    def test_anonymous_needs_no_trust(self, s3_stub: Stub) -> None:
        options = S3Options(endpoint_url=s3_stub.endpoint, anonymous=True)
        S3Remote(("bucket", ""), options, self.UNTRUSTED).delete("one")
        assert "Authorization" not in s3_stub.seen[0]

    def test_endpoint_that_the_user_names_too(self, s3_stub: Stub, monkeypatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_stub.endpoint)
        S3Remote(("bucket", ""), S3Options(endpoint_url=s3_stub.endpoint, **KEYS), self.UNTRUSTED).delete("one")
        assert len(s3_stub.requests) == 1

    @pytest.mark.parametrize(
        "endpoint",
        [
            None,
            "https://s3.amazonaws.com",
            "https://s3.eu-west-1.amazonaws.com",
            "https://s3.dualstack.us-gov-west-1.amazonaws.com",
            "https://s3-fips.us-east-1.amazonaws.com",
            "https://s3.cn-north-1.amazonaws.com.cn",
        ],
    )
    def test_amazon_needs_no_trust(self, endpoint) -> None:
        remote = S3Remote(("bucket", ""), S3Options(endpoint_url=endpoint, **KEYS), self.UNTRUSTED)
        assert dict(remote.describe_access())["identity"] == "access key OPTI…0000 from the remote's options"

    @pytest.mark.parametrize(
        "endpoint",
        [
            "http://s3.amazonaws.com",
            "https://s3.amazonaws.com.evil.example",
            "https://evil.example/s3.amazonaws.com",
            "https://ec2-1-2-3-4.compute-1.amazonaws.com",
            "https://s3.amazonaws.com:8443",
            "https://s3.elb.amazonaws.com",
            "https://xs3.amazonaws.com",
        ],
    )
    def test_what_only_looks_like_amazon(self, endpoint) -> None:
        with pytest.raises((RemoteAuthError, InvalidOption)):
            S3Remote(("bucket", ""), S3Options(endpoint_url=endpoint, **KEYS), self.UNTRUSTED).stat("one")

    @pytest.mark.parametrize("region", ["evil.example/", "x@evil.example", "a.b", "#"])
    def test_region_that_would_change_the_host(self, region) -> None:
        with pytest.raises(InvalidOption, match="region"):
            S3Remote(("bucket", ""), S3Options(region=region, **KEYS), self.UNTRUSTED)


def test_describe_access(aws_files, s3_stub: Stub) -> None:
    remote = S3Remote(("bucket", "team"), S3Options(endpoint_url=s3_stub.endpoint, profile="process"))
    told = dict(remote.describe_access())
    assert told["place"] == f"s3://bucket/team at {s3_stub.endpoint}, region us-east-1"
    assert told["credentials asked"].endswith("a credential process")
    assert told["identity"] == "access key PROC…0000 from a credential process, temporary"
    assert told["conditional writes"] == "tried at the first use"
    assert s3_stub.requests == []
    assert "process-secret" not in str(told)


def test_shortened() -> None:
    assert shortened("AKIAIOSFODNN7EXAMPLE") == "AKIA…MPLE"
    assert shortened("short") == "sh…"
