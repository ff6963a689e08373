"""The refusal of a whole batch."""


class BadBatch(ValueError):  # noqa: N818 (a verdict on the data; the loop goes on)
    """A batch that cannot be read as a whole; `reason` is written for the people who deliver the data."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
