"""What all tests share: how hypothesis works, and that no test reaches beyond this machine."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from loopback import only_loopback

# No database of examples: a run depends on the code and on its seed, which a failure prints, and on nothing before it.
# Contract tests are inherited by many classes on purpose, which hypothesis would take for a mistake.
_SUPPRESSED = [HealthCheck.too_slow, HealthCheck.differing_executors]
_COMMON = {"database": None, "deadline": None, "print_blob": True, "suppress_health_check": _SUPPRESSED}
settings.register_profile("dev", max_examples=50, **_COMMON)
# Whether a commit is good must not depend on chance: the same examples each time. The others look for new ones.
settings.register_profile("ci", max_examples=100, derandomize=True, **(_COMMON | {"print_blob": False}))
settings.register_profile("deep", max_examples=2000, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


_LONG = ("stateful", "e2e", "contract", "soak", "crash", "powercut", "concurrency", "gates", "damage", "operations")
"""Folders whose files take long for the few tests that they have."""


def pytest_collection_modifyitems(items):
    """Begin with the long files: whoever shares them out would have one process work on them alone at the end."""
    ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(_LONG)}

    def rank(item):
        return min((ranks[folder] for folder in item.path.parents if folder in ranks), default=len(ranks))

    items.sort(key=rank)


@pytest.fixture(scope="session", autouse=True)
def network():
    """Nothing but loopback and Unix sockets for the whole run."""
    with only_loopback():
        yield


def pytest_terminal_summary(terminalreporter):
    """Say the figures that tests recorded, also where workers ran them."""
    reports = [one for some in terminalreporter.stats.values() for one in some if getattr(one, "when", "") == "call"]
    said = [(name, value) for report in reports for name, value in report.user_properties]
    for name, value in said:
        if name == "figures":
            terminalreporter.write_line(value)
    points = [value for name, value in said if name == "crash"]
    if points:
        tried, killed, failed = map(sum, zip(*points, strict=True))
        terminalreporter.write_line(
            f"crash: {tried} points, {killed} killed, {tried - killed} let down by the disk, {failed} failed"
        )
    damages = [
        (value, report.failed) for report in reports for name, value in report.user_properties if name == "damage"
    ]
    if damages:
        failed = sum(bad for _, bad in damages)
        terminalreporter.write_line(f"damage: {sum(count for count, _ in damages)} damages tried, {failed} not found")
