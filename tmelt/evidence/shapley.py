"""Shapley values from the subsets of players that were measured."""

import itertools
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence

Subset = frozenset[Hashable]


def mirrored_orders(players: Sequence[Hashable], measured: Collection[Subset]) -> list[tuple[Hashable, ...]]:
    """Every order of adding the players all of whose subsets are measured, if its mirror image is there as well.

    The mean over such orders is the Shapley value if all orders are there. With fewer it still is, unless three or
    more players interact: in an order or in its mirror image, each of two players comes second once.
    """
    measured = set(measured)
    whole = frozenset(players)
    found: list[tuple[Hashable, ...]] = [()] if frozenset() in measured and whole in measured else []
    for _ in players:
        found = [
            (*order, player)
            for order in found
            for player in players
            if player not in order and frozenset((*order, player)) in measured
        ]
    complete = set(found)
    return [order for order in found if order[::-1] in complete]


def shapley_weights(orders: Sequence[Sequence[Hashable]], player: Hashable) -> dict[Subset, float]:
    """Weight of each subset's value in a player's value: the mean over orders of what it adds to those before it."""
    counted: Counter[Subset] = Counter()
    for order in orders:
        before = frozenset(itertools.takewhile(lambda other: other != player, order))
        counted[before | {player}] += 1
        counted[before] -= 1
    return {subset: count / len(orders) for subset, count in counted.items() if count}


def pair_weights(players: Iterable[Hashable], one: Hashable, other: Hashable) -> dict[Subset, float]:
    """Weights of the interaction of two players given all others: both minus each alone plus neither."""
    whole = frozenset(players)
    return {whole: 1.0, whole - {one}: -1.0, whole - {other}: -1.0, whole - {one, other}: 1.0}
