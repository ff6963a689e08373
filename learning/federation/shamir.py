"""A secret in shares, so many of which tell it and one fewer nothing (Shamir 1979)."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

PRIME = 2**257 - 93
"""Larger than any secret; a longer one only makes longer shares."""
SECRET_BYTES = 32


@dataclass(frozen=True)
class Share:
    """A point of the polynomial whose value at 0 is the secret."""

    at: int
    value: int

    def encode(self) -> str:
        """As text."""
        return f"{self.at:x}.{self.value:x}"

    @classmethod
    def decode(cls, text: str) -> "Share":
        """What `encode` wrote; raises ValueError for anything else."""
        at, _, value = text.partition(".")
        share = cls(int(at, 16), int(value, 16))
        if not (0 < share.at < PRIME and 0 <= share.value < PRIME):
            raise ValueError("this is no share")
        return share


def split(secret: bytes, count: int, threshold: int) -> list[Share]:
    """Shares of 32 secret bytes, from the operating system's randomness."""
    assert len(secret) == SECRET_BYTES and 1 <= threshold <= count
    coefficients = [int.from_bytes(secret, "big"), *(secrets.randbelow(PRIME) for _ in range(threshold - 1))]
    return [Share(at, _value(coefficients, at)) for at in range(1, count + 1)]


def recover(shares: Sequence[Share], threshold: int) -> bytes:
    """The secret; raises ValueError where the shares are too few, or do not make one."""
    points = {share.at: share.value for share in shares}
    if len(points) < threshold:
        raise ValueError(f"{len(points)} shares do not tell the secret, {threshold} do")
    chosen = tuple(sorted(points)[:threshold])
    secret = sum(points[at] * weight for at, weight in zip(chosen, _weights_at_zero(chosen), strict=True)) % PRIME
    if secret >= 256**SECRET_BYTES:
        raise ValueError("the shares do not belong together")
    return secret.to_bytes(SECRET_BYTES, "big")


@lru_cache(maxsize=64)
def _weights_at_zero(points: tuple[int, ...]) -> tuple[int, ...]:
    """How much the value at each point counts in the value at 0 (Lagrange); the shares of a round lie at the same."""
    weights: list[int] = []
    for at in points:
        above, below = 1, 1
        for other in points:
            if other != at:
                above, below = above * -other % PRIME, below * (at - other) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return tuple(weights)


def _value(coefficients: Sequence[int], at: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * at + coefficient) % PRIME
    return value
