"""For the tests of a strategy: a simulated search without training, and the contract that every strategy keeps.

    from tmelt.testing.contract import StrategyContract

    class TestMine(StrategyContract):
        kind = "mine"

It needs pytest. `examples/hill_climb` is a package that uses it.
"""

import sys

if "pytest" in sys.modules:  # the simulation by itself needs none
    sys.modules["pytest"].register_assert_rewrite("tmelt.testing.contract")
