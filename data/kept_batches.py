"""Which batches of a long history still judge: all of a short one, a bounded choice of a long one."""

RECENT, EARLIER = 20, 40
"""The newest batches, all of them, and so many of those before."""


def kept_batches(through: int) -> list[int]:
    """The numbers of the batches up to this one whose held-out rows judge, in order.

    Those before the newest are spread evenly over the past, the first one among them: whatever lasted for a
    thirty-ninth of it is there. The same number always gives the same choice.
    """
    recent = range(max(1, through - RECENT + 1), through + 1)
    before = recent.start - 1
    if before <= EARLIER:
        return [*range(1, through + 1)]
    return [*(1 + i * (before - 1) // (EARLIER - 1) for i in range(EARLIER)), *recent]
