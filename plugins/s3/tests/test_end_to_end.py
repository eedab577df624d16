"""What two people do with a bucket, through the command line: moto, with keys in the configuration of each clone."""

from __future__ import annotations

import pytest

from servers.s3 import RawBucket, S3Server
from servers.s3_stub import Stub
from servers.scenario import EndToEnd, Place, Team

QUIET = {"AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none", "AWS_EC2_METADATA_DISABLED": "true"}
SECRET = "planted/secret+access=key"


class TestMoto(EndToEnd):
    @pytest.fixture
    def place(self, moto: S3Server) -> Place:
        bucket = moto.make_bucket()
        return Place(
            f"s3://{bucket}/team",
            options={"endpoint_url": moto.endpoint, "region": "us-east-1"},
            local={"access_key_id": moto.access_key, "secret_access_key": moto.secret_key},
            env=QUIET,
            raw=RawBucket(moto, bucket, "team"),
            secrets=[moto.secret_key],
        )


class TestRefusals:
    """What a person sees where a remote refuses."""

    @pytest.fixture
    def team(self, s3_stub: Stub, tmp_path):
        place = Place(
            "s3://bucket/team",
            options={"endpoint_url": s3_stub.endpoint},
            local={"access_key_id": "PLANTEDACCESSKEYID99", "secret_access_key": SECRET},
            env=QUIET,
            secrets=[SECRET],
        )
        team = Team(tmp_path / "team", place)
        team.found()
        team.record("first", {"a": b"a"}, "one")
        yield team
        team.check_secrets()

    @pytest.mark.parametrize(
        ("status", "code", "kind", "next_step"),
        [
            (400, "ExpiredToken", "RemoteAuthError", "aws sso login"),
            (403, "InvalidAccessKeyId", "RemoteAuthError", "kist doctor --remote store"),
            (403, "SignatureDoesNotMatch", "RemoteAuthError", "kist doctor --remote store"),
            (404, "NoSuchBucket", "RemoteError", "kist makes no buckets"),
            (403, "AccessDenied", "RemotePermissionError", "owner"),
        ],
    )
    def test_push(self, team: Team, s3_stub: Stub, status, code, kind, next_step) -> None:
        s3_stub.reply(status, code)
        (error,) = team.json("first", "push", code=10).errors
        assert (error["class"], error["remote"]) == (kind, "store")
        assert code in error["message"]
        assert "access key PLAN…ID99 from the remote's options" in error["message"]
        assert next_step in error["hint"]
        told = team.kist("first", "--debug", "push", code=None)
        assert SECRET not in told.out + told.err

    def test_untrusted_endpoint(self, team: Team, s3_stub: Stub) -> None:
        """An endpoint that only a clone names gets nothing, not even a signature."""
        s3_stub.requests.clear()
        team.git(".", "clone", "-q", "first", "second")
        (team.folder / "other").mkdir()
        team.env["HOME"] = str(team.folder / "other")  # somebody else, who has not said that they trust it
        for name, value in team.place.local.items():
            team.kist("second", "remote", "modify", "--local", "store", name, value)
        (error,) = team.json("second", "pull", code=None).errors
        assert error["class"] == "RemoteAuthError"
        assert "kist remote trust store" in error["hint"]
        assert s3_stub.requests == []

    def test_doctor_without_credentials(self, team: Team) -> None:
        for name in team.place.local:
            team.kist("first", "remote", "modify", "--local", "store", name, "--unset")
        told = team.json("first", "doctor", "--remote", "store", code=None)
        assert "there are no credentials; asked were the remote's options, the environment" in told.out

    def test_doctor_tells_who_is_refused(self, team: Team, s3_stub: Stub) -> None:
        s3_stub.reply(403, "InvalidAccessKeyId")
        told = team.json("first", "doctor", "--remote", "store", code=None)
        found = {one["label"]: one["detail"] for one in told.data["findings"]}
        assert found["remote store: identity"] == "access key PLAN…ID99 from the remote's options"
        assert "InvalidAccessKeyId" in found["remote store: format"]

    def test_secret_in_the_tracked_configuration(self, team: Team) -> None:
        told = team.kist("first", "remote", "modify", "--tracked", "store", "session_token", "planted", code=3)
        assert "secret" in told.err

    def test_unknown_option(self, team: Team) -> None:
        told = team.kist("first", "remote", "modify", "store", "endpoint", "x", code=3)
        assert "endpoint_url" in told.err
