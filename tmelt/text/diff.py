"""Differences of two texts by lines, in a time that no text can stretch.

`difflib` needs cubic time for lines that occur often: two scripts of 24 kB took 21 s. Here lines that occur once on
both sides are matched first (the patience diff); what lies between them goes to `difflib` as long as the budget of
comparisons lasts, and counts as replaced afterwards.
"""

import bisect
import difflib
from collections import Counter
from collections.abc import Iterator, Sequence

_BUDGET = 2_000_000  # comparisons in the stretches between unique lines


class LineMatcher(difflib.SequenceMatcher):
    """A `difflib.SequenceMatcher` of lines whose matching blocks are found in bounded time."""

    def __init__(self, before: Sequence[str], after: Sequence[str]) -> None:
        self._budget = _BUDGET
        super().__init__(None, before, after, autojunk=False)

    def get_matching_blocks(self) -> list[difflib.Match]:
        """As `difflib` defines them: increasing, not adjacent, closed by an empty one."""
        if self.matching_blocks is None:
            blocks: list[list[int]] = []
            for i, j, size in self._matches():
                if blocks and blocks[-1][0] + blocks[-1][2] == i and blocks[-1][1] + blocks[-1][2] == j:
                    blocks[-1][2] += size
                else:
                    blocks.append([i, j, size])
            blocks.append([len(self.a), len(self.b), 0])
            self.matching_blocks = [difflib.Match(*block) for block in blocks]
        return self.matching_blocks

    def _matches(self) -> Iterator[tuple[int, int, int]]:
        """Matching lines in order: (place before, place after, lines)."""
        waiting = [(0, len(self.a), 0, len(self.b))]
        while waiting:
            low, high, start, stop = waiting.pop()
            if high - low == -1:  # a match that was set aside
                yield high, start, stop
                continue
            while low < high and start < stop and self.a[low] == self.b[start]:
                yield low, start, 1
                low, start = low + 1, start + 1
            end = 0
            while low < high - end and start < stop - end and self.a[high - 1 - end] == self.b[stop - 1 - end]:
                end += 1
            high, stop = high - end, stop - end
            after = [(high + 1, high, stop, end)] if end else []
            if low == high or start == stop:
                waiting += after
                continue
            anchors = self._anchors(low, high, start, stop)
            if not anchors:
                yield from self._between(low, high, start, stop)
                waiting += after
                continue
            stretches = []
            for i, j in anchors:
                stretches += [(low, i, start, j), (i + 1, i, j, 1)]
                low, start = i + 1, j + 1
            waiting += reversed([*stretches, (low, high, start, stop), *after])

    def _anchors(self, low: int, high: int, start: int, stop: int) -> list[tuple[int, int]]:
        """The longest increasing sequence of lines that occur once on each side."""
        before, after = Counter(self.a[low:high]), Counter(self.b[start:stop])
        place = {self.b[j]: j for j in range(start, stop) if after[self.b[j]] == 1}
        pairs = [(i, place[self.a[i]]) for i in range(low, high) if before[self.a[i]] == 1 and self.a[i] in place]
        ends: list[int] = []  # smallest last place after of a sequence of each length
        last: list[int] = []
        previous: list[int | None] = []
        for index, (_, j) in enumerate(pairs):
            length = bisect.bisect_left(ends, j)
            previous.append(last[length - 1] if length else None)
            if length == len(ends):
                ends.append(j)
                last.append(index)
            else:
                ends[length], last[length] = j, index
        chain: list[tuple[int, int]] = []
        index = last[-1] if last else None
        while index is not None:
            chain.append(pairs[index])
            index = previous[index]
        return chain[::-1]

    def _between(self, low: int, high: int, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Matches of a stretch without unique lines, while the budget lasts."""
        cost = (high - low) * (stop - start) * min(high - low, stop - start)
        if cost > self._budget:
            return
        self._budget -= cost
        inner = difflib.SequenceMatcher(None, self.a[low:high], self.b[start:stop], autojunk=False)
        for i, j, size in inner.get_matching_blocks():
            if size:
                yield low + i, start + j, size


def unified_lines(
    before: Sequence[str], after: Sequence[str], name_before: str, name_after: str, context: int = 3
) -> Iterator[str]:
    """The lines of a unified diff, as `difflib.unified_diff` with an empty `lineterm` gives them."""
    started = False
    for group in LineMatcher(before, after).get_grouped_opcodes(context):
        if not started:
            yield f"--- {name_before}"
            yield f"+++ {name_after}"
            started = True
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from (f" {line}" for line in before[i1:i2])
                continue
            yield from (f"-{line}" for line in before[i1:i2])
            yield from (f"+{line}" for line in after[j1:j2])


def _range(start: int, stop: int) -> str:
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"
