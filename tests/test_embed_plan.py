"""Sharing out proteins between jobs and packing them into forward passes."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmelt.embed import plan
from tmelt.errors import InputError


def _sequences(count: int, seed: int = 0) -> dict[str, str]:
    random = np.random.default_rng(seed)
    made = ("".join(random.choice(list("ACDEFGHIKL"), int(random.integers(20, 600)))) for _ in range(count))
    return {hashlib.sha256(sequence.encode()).hexdigest(): sequence for sequence in made}


@given(st.lists(st.integers(1, 3000), max_size=60), st.sampled_from([512, 1024, 4096]))
def test_passes_hold_every_protein_once_within_the_limit(lengths, tokens):
    passes = plan.batches(lengths, tokens)
    assert sorted(position for batch in passes for position in batch) == list(range(len(lengths)))
    for batch in passes:
        used = sum(lengths[position] + 2 for position in batch)
        assert used <= plan.pass_tokens(max(lengths[position] for position in batch), tokens)
        assert len(batch) == 1 or used <= tokens


def test_little_of_a_pass_is_padding():
    lengths = [len(sequence) for sequence in _sequences(500).values()]
    passes = plan.batches(lengths, 4096)
    assert len(passes) <= -(-sum(length + 2 for length in lengths) // 4096) + 1


def test_a_long_protein_is_alone_and_its_pass_depends_on_its_length_only():
    assert plan.batches([30, 6000, 30], 4096) == [[1], [0, 2]]
    assert plan.pass_tokens(30, 4096) == 4096
    assert plan.pass_tokens(4094, 4096) == 4096
    assert plan.pass_tokens(4095, 4096) == 5 * 1024
    assert plan.pass_tokens(6000, 4096) == 6 * 1024


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_shares_are_a_balanced_partition(shards):
    sequences = _sequences(300)
    shares = [plan.share(sequences, shard, shards) for shard in range(shards)]
    assert sorted(key for share in shares for key in share) == sorted(sequences)
    residues = [sum(map(len, share.values())) for share in shares]
    assert max(residues) - min(residues) <= 600  # one protein's length


def test_shares_do_not_depend_on_order():
    sequences = _sequences(50)
    turned = dict(reversed(sequences.items()))
    assert list(plan.share(sequences, 1, 3)) == list(plan.share(turned, 1, 3))


def test_a_shard_beyond_the_last_is_refused():
    with pytest.raises(InputError, match="shard 2 of 2"):
        plan.share({}, 2, 2)
