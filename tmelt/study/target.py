"""The target: the property of a protein that a study predicts, its unit, and how both are written."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """Name and unit of what is predicted; every text of a study takes them from here.

    The column of labels is called `tm` in the files of a study and in the contract, whatever the target.

    Attributes:
        name: in sentences, such as `melting temperature`.
        symbol: short, for axes, such as `Tm`.
        unit: such as `°C`; empty for a quantity without one.
        higher_is: what a higher value means, for prompts and the model card; None if it is not said.
        plausible: the least and the largest value that can be a measurement, in the unit.
    """

    name: str = "melting temperature"
    symbol: str = "Tm"
    unit: str = "°C"
    higher_is: str | None = None
    plausible: tuple[float, ...] = (10.0, 120.0)

    @property
    def plural(self) -> str:
        """The name of several values: `melting temperatures`, `values of solubility`."""
        return f"{self.name}s" if self.is_tm else f"values of {self.name}"

    @property
    def is_tm(self) -> bool:
        """Whether it is the melting temperature in °C, of which more is known than its name and unit."""
        return self.name == Target.name and self.unit == Target.unit

    @property
    def scale(self) -> float:
        """Factor by which assumptions about melting temperatures, in °C, become those about the target in its unit.

        How wide the plausible range is, against that of melting temperatures.
        """
        low, high = self.plausible
        usual_low, usual_high = Target.plausible
        return 1.0 if self.is_tm else (high - low) / (usual_high - usual_low)

    @property
    def key(self) -> str:
        """The symbol as the name of a column: `tm`, `solubility`."""
        return re.sub(r"[^a-z0-9]+", "_", self.symbol.lower()).strip("_") or "value"

    @property
    def in_unit(self) -> str:
        """` in °C`, to stand behind a quantity; empty without a unit."""
        return f" in {self.unit}" if self.unit else ""

    @property
    def of_symbol(self) -> str:
        """What the name is followed by in brackets: `Tm, °C`; without a symbol of its own the unit alone."""
        return ", ".join(filter(None, [self.symbol if self.symbol != self.name else "", self.unit]))

    @property
    def described(self) -> str:
        """Name, symbol and unit in a sentence: `melting temperature (Tm, °C)`."""
        return f"{self.name} ({self.of_symbol})" if self.of_symbol else self.name

    def amount(self, number: str) -> str:
        """A number that is already text, with the unit: `0.53 °C`."""
        return f"{number} {self.unit}" if self.unit else number

    def axis(self, quantity: str) -> str:
        """The title of an axis: `test MAE (°C)`."""
        return f"{quantity} ({self.unit})" if self.unit else quantity

    def head(self, quantity: str) -> str:
        """The head of a column: `test MAE, °C`."""
        return f"{quantity}, {self.unit}" if self.unit else quantity


TM = Target()
