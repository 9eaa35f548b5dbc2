"""The two ways in which a sandbox gives up, apart from its own mistakes."""


class Refusal(Exception):
    """A setting or this host does not allow it: one line that names the fault and the remedy."""


class SandboxUnavailable(Refusal):
    """No backend keeps candidate code in on this host; the message has each one's reason."""


class Accident(Exception):
    """It was killed, or the machine lacked something just then: nothing is known about backend or candidate."""
