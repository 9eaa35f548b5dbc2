"""How a conversation with a model can end badly, apart from InputError and InfrastructureError."""


class ReplyError(ValueError):
    """A reply that cannot be used; the text is shown to the model when it is asked again."""


class NoUsableReply(Exception):
    """Every ask was answered by a reply that could not be used.

    Attributes:
        errors: what was wrong with each of them, in order.
    """

    def __init__(self, errors: list[str]):
        super().__init__(f"no usable reply after {len(errors)} asks; the last one: {errors[-1]}")
        self.errors = errors


class BudgetSpent(Exception):
    """The next call might exceed the trajectory's budget, so it was not made.

    Attributes:
        what: `dollars`, `tokens` or `calls`.
    """

    def __init__(self, what: str, limit: float, used: float, needed: float):
        super().__init__(
            f"budget of {limit:g} {what} for this trajectory: {used:g} spent, the next call may need {needed:g}"
        )
        self.what = what
