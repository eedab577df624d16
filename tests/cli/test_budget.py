"""What all transfers of a process may take together: options, variables and configuration; and how calls are repeated."""

import os
import time

import pytest
from cli_support import clone, tree, write

from kist.engine.process.load import Load
from kist.repo.context import RepoContext
from kist.repo.remotes import budget_of, open_remote, retry_policy


def context_of(folder, **settings):
    return RepoContext.find(folder, settings=settings)


def test_one_budget_for_all_repositories_of_a_process(shared):
    first, second = context_of(shared.folder), context_of(clone(shared))
    assert budget_of(first) is budget_of(second)
    assert not budget_of(first).limited
    other = budget_of(context_of(shared.folder, **{"transfer.max_requests": 5}))
    assert other.limited
    assert other is not budget_of(first)


@pytest.mark.parametrize("how", ["option", "variable", "configuration"])
def test_the_rate_is_kept(tracked, monkeypatch, how):
    tracked("remote", "add", "-d", "store", "../store")
    write(tracked.folder, {"data/more": os.urandom(300_000)})
    tracked("add", "data")
    words = ()
    if how == "option":
        words = ("--limit-rate", "500 kB/s")
    elif how == "variable":
        monkeypatch.setenv("KIST_LIMIT_RATE", "500kB")
    else:
        tracked("config", "--local", "transfer.limit_rate", "500kB")
    began = time.monotonic()
    tracked("push", *words)
    assert time.monotonic() - began > 0.5
    other = clone(tracked)
    began = time.monotonic()
    tracked("pull", "--remote", "store", "--limit-rate", "500kB/s", folder=other, code=None)


def test_the_number_of_requests_a_second_is_kept(shared):
    other = clone(shared)
    began = time.monotonic()
    requests = shared.json("pull", "--max-requests", "20", folder=other).data["requests"]
    assert requests > 4
    assert time.monotonic() - began > (requests - 2) / 20
    assert tree(other / "data") == tree(shared.folder / "data")


@pytest.mark.parametrize(
    "verb", [("push",), ("fetch",), ("pull",), ("verify", "-r", "store"), ("gc", "-r", "store", "-f")]
)
def test_every_verb_that_speaks_to_a_remote_takes_the_budget(shared, verb):
    shared(*verb, "--jobs", "2", "--limit-rate", "1GiB/s", "--max-requests", "1000")
    assert "limit-rate" in shared(*verb, "--limit-rate", "fast", code=3).err.replace("_", "-")
    shared(*verb, "--max-requests", "many", code=3)
    shared(*verb, "--jobs", "0", code=2)


def test_how_often_calls_are_repeated_is_an_option_of_every_remote(shared):
    shared("remote", "modify", "store", "retries", "2")
    shared("remote", "modify", "--local", "store", "retry_time", "20s")
    policy = retry_policy(context_of(shared.folder), "store", Load())
    assert (policy.attempts, policy.deadline) == (3, 20.0)
    shared("remote", "modify", "store", "retries", "often", code=3)
    opened = open_remote(context_of(shared.folder), "store")
    assert opened.store.load.refusals == 0
    opened.close()


def test_a_failed_pull_says_whether_it_was_a_dry_run(shared):
    other = clone(shared)
    for path in (shared.folder.parent / "store" / "packs").iterdir():
        path.unlink()
    failed = shared.json("pull", folder=other, code=8)
    assert failed.data["dry_run"] is False
    assert failed.data["failures"]
