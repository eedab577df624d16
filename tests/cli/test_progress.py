"""Progress: the total is known before the first byte where that is possible, and is what comes in the end."""

import io
import json
import os

from cli_support import write

from kist.cli.progress import StreamProgress


def events(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_verify_knows_its_total(tracked):
    write(tracked.folder, {"data/large.bin": os.urandom(3 << 20), "data/more.txt": "more"})
    tracked("add", "data")
    found = [one for one in events(tracked("verify", "--progress", "json").err) if one["phase"] == "verify"]
    first, last = found[0], found[-1]
    assert (first["event"], last["event"]) == ("start", "finish")
    assert first["total"] == last["total"] == last["done"] > 3 << 20


def test_transfers_know_their_total(shared):
    write(shared.folder, {"data/large.bin": os.urandom(3 << 20)})
    shared("add", "data")
    found = [one for one in events(shared("push", "--progress", "json").err) if one["phase"] == "push"]
    assert found[0]["total"] == found[-1]["done"] > 3 << 20


def test_a_total_may_come_later():
    stream = io.StringIO()
    progress = StreamProgress(stream, "json")
    assert progress.total_after is not None
    progress.expect(7)  # no phase: nobody asked
    progress.start("add")
    progress.advance(100)
    progress.expect(50)  # what was read already is the least that there is
    progress.expect(70)
    progress.finish()
    start, finish = events(stream.getvalue())
    assert start["total"] is None
    assert finish["total"] == 100


def test_a_bar_with_a_total_tells_how_long(monkeypatch):
    monkeypatch.setattr("kist.cli.progress._QUIET_START", 0.0)
    monkeypatch.setattr("kist.cli.progress._REDRAW", 0.0)
    stream = io.StringIO()
    progress = StreamProgress(stream, "bar")
    progress.start("add")
    progress.advance(1 << 20)
    assert "of" not in stream.getvalue()
    progress.expect(4 << 20)
    progress.advance(1 << 20)
    assert "add: 2.00 MiB of 4.00 MiB (50%)" in stream.getvalue()
    assert stream.getvalue().endswith("left")
