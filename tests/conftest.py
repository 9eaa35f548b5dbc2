"""Options of the tests, which of them stay together, and the limit that keeps fast tests fast."""

import os
import time

import hypothesis
import pytest

CHAOS_SEEDS, CHAOS_SEEDS_SLURM = 3, 2
SLOW_S = 3600  # a backstop: slow tests have limits of their own, which a busy machine does not use up (patience.py)
SANDBOXED = ("tmelt.harness.run", "tmelt.bundle.ensemble")  # what opens sandboxes
# Files whose tests take minutes, longest first, and those whose tests go to any process.
FIRST = (
    "test_real_model.py",
    "test_workflow.py",
    "test_verify.py",
    "test_growth.py",
    "test_bundle.py",
    "test_attacks.py",
)
ALONE = ("test_attacks.py",)
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
    parser.addoption(
        "--limit-cpu-s",
        type=float,
        metavar="SECONDS",
        help="fail the run if it takes more CPU seconds in all, its processes and their children together",
    )


def pytest_configure(config):
    hypothesis.settings.register_profile("any machine", deadline=None)  # a busy one misses any
    hypothesis.settings.load_profile("any machine")
    if config.getoption("limit_s"):
        config.pluginmanager.register(TimeLimit(config.getoption("limit_s")), "time-limit")
    config.pluginmanager.register(CpuLimit(config.getoption("limit_cpu_s")), "cpu-limit")


def pytest_generate_tests(metafunc):
    if "chaos_seed" in metafunc.fixturenames:
        on_slurm = metafunc.definition.get_closest_marker("slurm")
        count = metafunc.config.getoption("chaos_seeds")
        if count is None:
            count = CHAOS_SEEDS_SLURM if on_slurm else CHAOS_SEEDS
        metafunc.parametrize("chaos_seed", range(count))


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items):
    """With `--dist loadgroup` the tests of a file share a process and its fixtures. Chaos tests and attacks go where
    there is room: they are slow, and what they share lies on disk. What takes longest begins first, so that all
    processes end together."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_S))
        if not item.get_closest_marker("chaos") and item.path.name not in ALONE:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    order = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: (order.get(item.path.name, len(FIRST)), item.path not in slow))


class CpuLimit:
    """Adds up the CPU time of all of pytest's processes, and fails a run that takes more than it may.

    Where processes wait for a core, caches are cold and a test takes up to twice the CPU time: the limit grows alike.
    """

    def __init__(self, limit_s):
        self.limit_s, self.of_workers = limit_s, 0.0

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        self.of_workers += getattr(node, "workeroutput", {}).get("cpu_s", 0.0)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        own = sum(os.times()[:4])
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["cpu_s"] = own
            return
        # A worker that was waited for is among the children.
        self.cpu_s = max(own, sum(os.times()[:2]) + self.of_workers)
        if self.limit_s:
            self.limit_s *= min(2.0, max(1.0, os.getloadavg()[1] / (os.cpu_count() or 1)))
        if self.limit_s and self.cpu_s > self.limit_s and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if self.limit_s:
            over = f", over {self.limit_s:.0f} s: make tests faster, or mark some slow" * (self.cpu_s > self.limit_s)
            terminalreporter.line(f"CPU time: {self.cpu_s:.0f} s{over}", red=bool(over))


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


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A headless Chromium."""
    from browser import Browser, find_chromium
    from needs import need

    need(find_chromium(), "no Chromium on this machine: make packages")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def ci(tmp_path_factory):
    """The finished study of studies/ci.yaml, to read or to copy."""
    from finished_studies import ci_study

    return ci_study(tmp_path_factory)


@pytest.fixture(scope="session")
def minimal(tmp_path_factory):
    """A finished study of two strategies, to read or to copy."""
    from finished_studies import minimal_study

    return minimal_study(tmp_path_factory)


@pytest.fixture(scope="session")
def grown(minimal, tmp_path_factory):
    """The same after it has grown in every direction, to read or to copy."""
    from finished_studies import grown_study

    return grown_study(tmp_path_factory, minimal)


@pytest.fixture(scope="module")
def shared_sandboxes():
    """Open sandboxes of this file."""
    from warm import SharedSandboxes

    shared = SharedSandboxes()
    yield shared
    shared.close()


@pytest.fixture
def warm_sandbox(shared_sandboxes, monkeypatch):
    """This test's runs and predictions share a sandbox with others of its file."""
    for module in SANDBOXED:
        monkeypatch.setattr(f"{module}.Sandbox", shared_sandboxes)


@pytest.fixture
def own_sandbox(warm_sandbox, monkeypatch):
    """They have sandboxes of their own after all."""
    from tmelt.harness.confined import Sandbox

    for module in SANDBOXED:
        monkeypatch.setattr(f"{module}.Sandbox", Sandbox)
