"""Options of the tests, which of them stay together, and the limit that keeps fast tests fast."""

import os
import time

import pytest

CHAOS_SEEDS, CHAOS_SEEDS_SLURM = 8, 3
SLOW_S = 3600  # a backstop: slow tests have limits of their own, which a busy machine does not use up (patience.py)
STUDIES = ("simulated", "whole")  # fixtures that take some ten CPU seconds: written once per run, not per process
UNLIMITED = ("slow", "slurm", "chaos")  # what `make check` leaves out


def pytest_addoption(parser):
    parser.addoption(
        "--chaos-seeds",
        type=int,
        metavar="N",
        help=f"kill at random with N seeds (default: {CHAOS_SEEDS} here, {CHAOS_SEEDS_SLURM} on SLURM)",
    )
    parser.addoption(
        "--limit-s",
        type=float,
        metavar="SECONDS",
        help="fail a test that takes longer without one of the marks " + ", ".join(UNLIMITED),
    )


def pytest_configure(config):
    if config.getoption("limit_s"):
        config.pluginmanager.register(TimeLimit(config.getoption("limit_s")), "time-limit")


def pytest_generate_tests(metafunc):
    if "chaos_seed" in metafunc.fixturenames:
        on_slurm = metafunc.definition.get_closest_marker("slurm")
        count = metafunc.config.getoption("chaos_seeds")
        if count is None:
            count = CHAOS_SEEDS_SLURM if on_slurm else CHAOS_SEEDS
        metafunc.parametrize("chaos_seed", range(count))


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items):
    """With `--dist loadgroup` the tests of a file share a process and its fixtures; chaos tests go where there is room,
    for they are slow, and what they share lies on disk."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_S))
        if not item.get_closest_marker("chaos"):
            item.add_marker(pytest.mark.xdist_group(item.path.name))


class TimeLimit:
    """Fails an unmarked test over the limit, in a way that a busy machine does not change.

    A test takes its CPU time, that of its child processes included, or its wall time divided by the processes that wait
    for each core, whichever is more. Fixtures that tests share are charged to none of them.
    """

    def __init__(self, limit_s):
        self.limit_s = limit_s
        self.start = self.shared = self.none = (0.0, 0.0)  # (CPU, wall) in seconds
        self.depth = 0  # of shared fixtures that ask for each other

    @staticmethod
    def now():
        cpu = os.times()
        return cpu.user + cpu.system + cpu.children_user + cpu.children_system, time.monotonic()

    def since(self, start):
        return tuple(now - then for now, then in zip(self.now(), start, strict=True))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self):
        self.start, self.shared = self.now(), self.none
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef):
        if fixturedef.scope == "function":
            return (yield)
        start = self.now()
        self.depth += 1
        try:
            return (yield)
        finally:
            self.depth -= 1
            if not self.depth:
                self.shared = tuple(map(sum, zip(self.shared, self.since(start), strict=True)))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item):
        result = yield
        cpu, wall = (took - shared for took, shared in zip(self.since(self.start), self.shared, strict=True))
        waiting = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        if max(cpu, wall / waiting) > self.limit_s and not any(map(item.get_closest_marker, UNLIMITED)):
            pytest.fail(
                f"{item.nodeid}: takes {cpu:.1f} s of CPU and {wall:.1f} s on the clock, over {self.limit_s:g} s;"
                " make it faster, or mark it slow",
                pytrace=False,
            )
        return result
