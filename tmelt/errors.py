"""The two ways in which this software gives up, apart from its own mistakes."""


class InputError(Exception):
    """Something a person gave us is wrong: one line that names the file or key, the fault and the remedy."""


class InfrastructureError(Exception):
    """The machine or a service failed, not the candidate: the job ends non-zero and Snakemake retries it."""
