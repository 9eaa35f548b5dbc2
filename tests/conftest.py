"""Options of the tests."""

CHAOS_SEEDS, CHAOS_SEEDS_SLURM = 20, 3


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
