"""Seeds of a search and of its trials, derived from names: the same in every process."""

import numpy as np

from tmelt.storage.files import sha256_text


def seed_of(study: str, strategy: str, trajectory: int, *numbers: int) -> int:
    """Return the seed of one search, or of one of its trials if `numbers` has the iteration."""
    words = sha256_text(f"{study}/{strategy}/{trajectory}")
    return int(np.random.SeedSequence([int(words[:16], 16), *numbers]).generate_state(1)[0])
