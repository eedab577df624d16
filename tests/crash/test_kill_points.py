"""Commands are killed, or let down by the disk, at every call that changes files; whatever comes next must work.

A preloaded library (``shim.c``) counts the calls: opens that make or empty a file, writes of all kinds, renames, links,
removals, modes, times, lengths, clones, and waiting for the disk. In an ordinary run a sample of them is tried, with
``KIST_CRASH=whole`` (``tox run -e crash``) all.
"""

import os
import shutil

import broken
import pytest
from layers import FAIL, FAIL_FROM, KILL_BEFORE, KILL_ONE, KILL_TORN
from scenes import SCENES
from torment import Plan

WHOLE = os.environ.get("KIST_CRASH") == "whole"
DIES = (Plan(KILL_BEFORE), Plan(KILL_TORN))
FAULTS = (Plan(FAIL, "ENOSPC"), Plan(FAIL, "EIO"), Plan(FAIL_FROM, "ENOSPC"))
TRANSFERS = ("push", "push, many at once", "fetch", "pull", "pull, many at once")

SAMPLE = {
    "add, first": (Plan(most=3), Plan(FAIL, "EIO", 2), Plan(FAIL_FROM, "EDQUOT", 1)),
    "commit": (Plan(most=3), Plan(FAIL, "ENOSPC", 2)),
    "checkout, switch": (Plan(most=3), Plan(FAIL_FROM, "ENOSPC", 2)),
    "checkout, hardlink": (Plan(most=2),),
    "checkout, processes": (Plan(KILL_ONE, most=2), Plan(most=2)),
    "checkout, files": (Plan(most=4), Plan(FAIL, "EIO", 2)),
    "move": (Plan(most=3),),
    "remove": (Plan(KILL_TORN, most=1), Plan(FAIL, "EIO", 2)),
    "push": (Plan(most=3), Plan(FAIL, "EIO", 1)),
    "pull": (Plan(most=3), Plan(FAIL_FROM, "EDQUOT", 1)),
    "gc": (Plan(most=3),),
    "resolve": (Plan(most=3), Plan(FAIL, "ENOSPC", 1)),
    "config, user": (Plan(most=2),),
    "remote, rename": (Plan(most=2),),
}


def plans_of(scene):
    if not WHOLE:
        return {"sample": SAMPLE[scene]} if scene in SAMPLE else {}
    return {
        "killed": (*DIES, Plan(KILL_ONE)) if "processes" in scene else DIES,
        **{str(plan): (plan,) for plan in FAULTS},
    }


TASKS = [
    pytest.param(scene, plans, id=f"{scene}: {kind}") for scene in SCENES for kind, plans in plans_of(scene).items()
]


def folder_of(scene, request):
    """The folder that a scene needs if it is not one in memory."""
    return {"folder": str(request.getfixturevalue("sharing"))} if scene.endswith("reflink") else {}


@pytest.fixture
def tallies(request, pool, scene, plans):
    """What came of one task. Where tests run in one process, the tasks of all that were chosen are begun at once."""
    if not pool.begun(request.node.nodeid):
        others = [request.node] if "PYTEST_XDIST_WORKER" in os.environ else request.session.items
        for item in others:
            values = item.callspec.params if hasattr(item, "callspec") else {}
            if "plans" in values and (item is request.node or not values["scene"].endswith("reflink")):
                pool.begin(item.nodeid, values["scene"], values["plans"], **folder_of(values["scene"], request))
    return pool.result(request.node.nodeid)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("scene", "plans"), TASKS)
def test_1_2_whatever_comes_next_works(scene, plans, tallies, record_property):
    if scene.endswith("pure kernel"):
        pytest.importorskip("kist_accel", reason="without a compiled kernel every scene has the pure one")
    for tally, plan in zip(tallies, plans, strict=True):
        record_property("figures", tally.line())
        record_property("crash", tally.figures())
        assert not tally.failed, "\n".join(tally.failed[:20])
        if not plan.most and plan.mode != KILL_TORN:
            assert tally.tried == tally.total
        assert tally.tried


def test_the_layer_is_told(library, pool, record_property):
    assert (library is not None) == (shutil.which("cc") is not None)
    scene = "config, tracked"
    pool.begin("layer", scene, (Plan(most=1),))
    (tally,) = pool.result("layer")
    record_property("figures", f"crash: {tally.layer}")
    assert tally.total > 10
    if library is not None:
        assert "library" in tally.layer


# ── the suite can fail ───────────────────────────────────────────────────────────────────────────────────────────────


BROKEN = (
    ("commit", broken.removes_before_it_replaces, Plan()),
    ("commit", broken.writes_in_place, Plan()),
    ("commit", broken.names_before_it_publishes, Plan()),
    ("checkout, switch", broken.forgets_the_journal, Plan()),
    ("commit", broken.hides_its_scratch, Plan()),
    ("commit", broken.swallows_errors, Plan(FAIL, "EIO")),
)
"""A scene in which each broken product shows, and what shows it."""


@pytest.mark.parametrize(("scene", "sabotage", "plan"), BROKEN, ids=lambda one: getattr(one, "__name__", ""))
def test_a_broken_product_is_caught(scene, sabotage, plan, pool):
    if not WHOLE and sabotage not in (broken.removes_before_it_replaces, broken.names_before_it_publishes):
        pytest.skip("part of 'tox run -e crash'")
    plan = Plan(plan.mode, plan.fault, sabotage=sabotage, stop=True)
    pool.begin(sabotage, scene, (plan,))
    (tally,) = pool.result(sabotage)
    assert tally.failed
