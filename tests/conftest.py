"""Options of the tests, and which of them stay together."""

import pytest

CHAOS_SEEDS, CHAOS_SEEDS_SLURM = 12, 3
SLOW_S = 3600  # a backstop: slow tests have limits of their own, which a busy machine does not use up (patience.py)


def pytest_addoption(parser):
    parser.addoption(
        "--chaos-seeds",
        type=int,
        metavar="N",
        help=f"kill at random with N seeds (default: {CHAOS_SEEDS} here, {CHAOS_SEEDS_SLURM} on SLURM)",
    )


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
