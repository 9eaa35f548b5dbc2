"""The simulator and the harness's small data lie beside this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "harness"))  # small data for real runs
sys.path.insert(2, str(Path(__file__).resolve().parents[1] / "agents"))
