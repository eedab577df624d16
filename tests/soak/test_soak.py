"""Random work with random kills, then everything is compared with what commands reported done."""

import os
import random
import signal
from unittest import mock

import pytest
from soak_support import contents

from soak import Soak

MINUTES = float(os.environ.get("KIST_SOAK") or 0)
"""Minutes of random work, as in ``tox run -e soak``; without it a sample is played."""
SEED = os.environ.get("KIST_SOAK_SEED")


@pytest.mark.timeout(0)
def test_6_what_was_reported_done_is_there(tmp_path, capsys):
    seed = int(SEED) if SEED else random.SystemRandom().randrange(1 << 32)
    with capsys.disabled():
        print(f"\nsoak: seed {seed}", flush=True)
    soak = Soak(tmp_path, seed)
    try:
        soak.run(minutes=MINUTES, steps=0 if MINUTES else 25)
    except BaseException:
        print(soak.last())
        raise
    with capsys.disabled():
        print(f"soak: {soak}; nothing was lost", flush=True)


def test_what_a_killed_command_left_is_in_no_version(tmp_path):
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "a").write_bytes(b"a")
    (tmp_path / "data" / "..kist-tmp-host-1-0123abcd-5").symlink_to("nowhere")
    (tmp_path / "data" / "sub" / "..kist-tmp-host-1-0123abcd-6").write_bytes(b"half")
    assert contents(tmp_path) == {"a": ("file", b"a"), "sub": ("directory", b"")}


# ── the suite can fail ───────────────────────────────────────────────────────────────────────────────────────────────


def marker_first():
    """A push that tells that a version is there before it is, and is killed at the worst moment."""
    from kist.engine.transfer.published import Published
    from kist.engine.transfer.push import Push

    original = Push._send

    def send(push, scratch):
        for version in push._plan.pending:
            push.store.write_marker(Published((version.root,), {}, (push._repository,)))
        if push._plan.pending:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(push, scratch)

    mock.patch.object(Push, "_send", send).start()


def greedy_gc():
    """A gc that does not ask what other clones need."""
    from kist.repo import cache_refs

    mock.patch.object(cache_refs, "others", lambda context: ()).start()


# Only what the fault shows in, that a few seconds are enough.
@pytest.mark.parametrize(
    ("sabotage", "only"),
    [(marker_first, ("record", "push", "push")), (greedy_gc, ("record", "collect", "check_out"))],
    ids=["marker_first", "greedy_gc"],
)
def test_a_broken_product_is_caught(tmp_path, sabotage, only):
    with pytest.raises(AssertionError):
        Soak(tmp_path, 1, sabotage, only).run(steps=60)
