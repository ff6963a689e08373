"""What an answer must be before it counts."""

import re
from collections.abc import Sequence
from statistics import median

import numpy as np

from learning.federation.aggregation import Update
from learning.federation.messages import Message, RefusedError
from learning.federation.shamir import Share

MOST_NAMES, LONGEST_NAME = 100_000, 500
LEAST_UPDATES = 3
"""With fewer no update can be told to be unlike the others."""


def check_answer(answer: Message, asked: Message) -> None:
    """Raise RefusedError for an answer to anything but what was asked: another round's, another node's, a repeat."""
    same = ("kind", "federation", "round", "node")
    for name in same:
        if getattr(answer, name) != getattr(asked, name):
            raise RefusedError(f"it is for the {name} {getattr(answer, name)!r}, asked is {getattr(asked, name)!r}")
    if answer.nonce != asked.nonce:
        raise RefusedError("its nonce is another round's: it was sent before")


def check_array(answer: Message, name: str, shape: Sequence[int], kind: type) -> None:
    """Raise RefusedError for an array that is not there, or has another shape or type, or is not finite."""
    array = answer.arrays.get(name)
    if array is None:
        raise RefusedError(f"it has no {name}")
    if array.shape != tuple(shape) or array.dtype != kind:
        raise RefusedError(f"its {name} is {array.dtype} {list(array.shape)}, not {np.dtype(kind)} {list(shape)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RefusedError(f"its {name} is not finite")


def check_length(answer: Message, name: str, most: float) -> None:
    """Raise RefusedError for a vector longer than it may be."""
    if float(np.linalg.norm(answer.arrays[name].astype(np.float64))) > most:
        raise RefusedError(f"its {name} is longer than {most:.3g}")


def check_number(answer: Message, name: str, least: float, most: float) -> float:
    """The number of the answer's body; raises RefusedError where it is none between the two."""
    value = answer.body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise RefusedError(f"its {name} is no number from {least:g} to {most:g}")
    return float(value)


def too_long(updates: Sequence[Update], ratio: float) -> dict[str, str]:
    """Why updates are refused that are longer than so many median ones, by node."""
    norms = {update.node: float(np.linalg.norm(update.change_P.astype(np.float64))) for update in updates}
    if len(norms) < LEAST_UPDATES:
        return {}
    limit = ratio * median(norms.values())
    return {
        node: f"it is {norm / (limit / ratio):.3g} times as long as the median update"
        for node, norm in norms.items()
        if norm > limit > 0
    }


def check_join(answer: Message) -> None:
    """Raise RefusedError where a node does not say properly what it has."""
    body = answer.body
    names = body.get("sensors")
    if not _are_names(names) or body.get("task") not in ("classification", "regression"):
        raise RefusedError("it does not say its sensors and its task")
    if body["task"] == "classification" and not _are_names(body.get("labels")):
        raise RefusedError("it does not say its classes")
    check_number(answer, "length", 1, 1e6)
    check_number(answer, "outputs", 1, 1e6)


def check_keys(answer: Message) -> None:
    """Raise RefusedError for what is no public key."""
    public = answer.body.get("public")
    if not isinstance(public, str) or not _is_hex(public, 64):
        raise RefusedError("this is no public key")


def check_shares(answer: Message) -> None:
    """Raise RefusedError where a sealed share, or what is covered, is no text in hex."""
    sealed, covered = answer.body.get("sealed"), answer.body.get("covered")
    texts = [*sealed.values(), covered] if isinstance(sealed, dict) else [None]
    if not all(isinstance(text, str) and _is_hex(text, len(text)) for text in texts):
        raise RefusedError("these are no sealed shares")


def check_revealed(answer: Message) -> None:
    """Raise RefusedError for what are no shares."""
    match answer.body.get("revealed"):
        case {"own": dict(own), "cover": dict(cover)}:
            try:
                for text in (*own.values(), *cover.values()):
                    Share.decode(text)
            except (ValueError, AttributeError):
                raise RefusedError("these are no shares") from None
        case _:
            raise RefusedError("these are no shares")


def _are_names(names: object) -> bool:
    if not isinstance(names, list) or not 0 < len(names) <= MOST_NAMES:
        return False
    return all(isinstance(n, str) and 0 < len(n) <= LONGEST_NAME for n in names) and len({*names}) == len(names)


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and re.fullmatch("[0-9a-f]*", text) is not None


def check_done(answer: Message) -> None:
    """Raise RefusedError for an ε that is none."""
    if "epsilon" in answer.body:
        check_number(answer, "epsilon", 0, 1e9)
