"""Secure aggregation (Bonawitz et al. 2017): the coordinator learns the sum of the nodes' vectors and none of them.

Each pair of nodes agrees on a secret once, from which every round takes a seed and the next secret (a ratchet by
SHAKE256), and forgets what it came from. One of the two adds the mask of the seed, the other takes it away; and each
adds a mask of its own. Of the seed of its own, and of a key that covers its seeds with the others, every node gives
Shamir shares to the others, sealed. Survivors tell the coordinator their shares of the one for each survivor, of the
other for each lost node: what is opened belongs to this round, and no other round's seeds follow from it. No round is
masked twice.

It holds against a coordinator that follows the protocol but is curious, and against fewer curious nodes than the
threshold.

Shapes: P numbers in a vector, as integers modulo 2^64.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from learning.federation.fixed_point import Integers
from learning.federation.shamir import Share, recover, split

_NONCE = bytes(12)
"""For keys that encrypt one message only."""
_SECRET_BYTES = 32


@dataclass
class NodeMask:
    """One node's part. key: its private key in hex, until pairs has what it agreed on with each other node.

    round: the latest that was begun, −1 before any. own: the seed of its own mask in it. seeds: of its masks with each
    other node in it; seals: what seals the shares between the two. names: who takes part. inbox: the sealed shares that
    others gave it; kept: its own.
    """

    node: str
    key: str
    pairs: dict[str, str] = field(default_factory=dict[str, str])
    round: int = -1
    own: str = ""
    seeds: dict[str, str] = field(default_factory=dict[str, str])
    seals: dict[str, str] = field(default_factory=dict[str, str])
    names: list[str] = field(default_factory=list[str])
    inbox: dict[str, str] = field(default_factory=dict[str, str])
    kept: str = ""

    @classmethod
    def begin(cls, node: str) -> "NodeMask":
        """With a new key, from the operating system's randomness."""
        return cls(node, secrets.token_hex(32))

    def public(self) -> str:
        """The public key in hex, which all may know."""
        return _private(self.key).public_key().public_bytes_raw().hex()

    def agree(self, federation: str, keys: Mapping[str, str]) -> None:
        """Have a secret with each other node, and forget the key; raises ValueError where it is not among the keys."""
        if keys.get(self.node) != self.public():
            raise ValueError("these are not the keys that were told")
        own = _private(self.key)
        for name in sorted({*keys} - {self.node}):
            secret = own.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(keys[name])))
            self.pairs[name] = HKDF(hashes.SHA256(), 32, None, federation.encode()).derive(secret).hex()
        self.key = ""

    def share_out(self, number: int, names: Sequence[str], threshold: int) -> tuple[dict[str, str], str]:
        """Begin a round: sealed shares for every other node, so many of which tell a secret, and the covered seeds.

        Raises ValueError for a round that is over, and where nodes are too few, or others than keys were told of.
        """
        if number <= self.round:
            raise ValueError(f"round {number} was masked already")
        names, known = sorted({*names}), {self.node, *self.pairs}
        if self.node not in names or not {*names} <= known or not len(names) >= threshold > len(names) // 2:
            raise ValueError(f"{len(names)} nodes are too few to hide one among them, or not all are known")
        for _ in range(number - self.round):
            self._step()
        self.round, self.names, self.own, self.inbox = number, names, secrets.token_hex(32), {}
        cover = secrets.token_bytes(32)
        shares = (split(secret, len(names), threshold) for secret in (bytes.fromhex(self.own), cover))
        pairs = zip(names, *shares, strict=True)
        texts = {name: f"{of_own.encode()} {of_cover.encode()}" for name, of_own, of_cover in pairs}
        self.kept = texts.pop(self.node)
        seeds = json.dumps({name: self.seeds[name] for name in texts}).encode()
        covered = ChaCha20Poly1305(cover).encrypt(_NONCE, seeds, self.node.encode())
        return {name: self._seal(name, text) for name, text in texts.items()}, covered.hex()

    def mask(self, vector_P: Integers, inbox: Mapping[str, str]) -> Integers:
        """The vector under all masks of this round; inbox: the shares of all who take part, by node."""
        self.inbox = dict(inbox)
        masked_P = vector_P + mask_of(bytes.fromhex(self.own), len(vector_P))
        for other in self.inbox:
            _add(masked_P, mask_of(bytes.fromhex(self.seeds[other]), len(vector_P)), self.node < other)
        return masked_P

    def reveal(self, survivors: Sequence[str], threshold: int) -> dict[str, dict[str, str]]:
        """For each survivor a share of its own mask, for each lost node one of what covers its seeds; never both.

        Raises ValueError where the survivors are too few, or do not count this node.
        """
        everyone = {self.node, *self.inbox}
        enough = len({*survivors}) >= threshold > len(self.names) // 2
        if self.node not in survivors or not enough or not {*survivors} <= everyone:
            raise ValueError(f"{len(survivors)} survivors are too few to hide one among them")
        opened = {name: self._open(name, sealed).split(" ") for name, sealed in self.inbox.items()}
        opened[self.node] = self.kept.split(" ")
        return {
            "own": {name: opened[name][0] for name in sorted(survivors)},
            "cover": {name: opened[name][1] for name in sorted(everyone - {*survivors})},
        }

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, for this node's own journal: it holds its secrets."""
        return asdict(self)

    def _step(self) -> None:
        """Take the next round's seeds and secrets from each pair's secret, which then is gone."""
        for name, secret in self.pairs.items():
            stream = hashlib.shake_256(b"lehr pair" + bytes.fromhex(secret)).hexdigest(3 * _SECRET_BYTES)
            self.pairs[name], self.seeds[name], self.seals[name] = (
                stream[start : start + 2 * _SECRET_BYTES] for start in range(0, len(stream), 2 * _SECRET_BYTES)
            )

    def _seal(self, other: str, text: str) -> str:
        nonce, key = secrets.token_bytes(12), bytes.fromhex(self.seals[other])
        return (nonce + ChaCha20Poly1305(key).encrypt(nonce, text.encode(), _route(self.node, other))).hex()

    def _open(self, other: str, sealed: str) -> str:
        content, key = bytes.fromhex(sealed), bytes.fromhex(self.seals[other])
        try:
            opened = ChaCha20Poly1305(key).decrypt(content[:12], content[12:], _route(other, self.node))
        except InvalidTag:
            raise ValueError(f"the share of {other} was changed on its way") from None
        return opened.decode()


def unmask(
    masked: Mapping[str, Integers],
    covered: Mapping[str, str],
    revealed: Mapping[str, Mapping[str, Mapping[str, str]]],
    threshold: int,
) -> Integers:
    """The sum of the survivors' vectors, modulo 2^64.

    masked: by survivor. covered: by all whose masks are in it, survivors or not. revealed: what survivors answered.
    Raises ValueError where too few answered, or shares do not open what they belong to.
    """
    if len(revealed) < threshold:
        raise ValueError(f"{len(revealed)} nodes answered, {threshold} are needed to take the masks out")
    total_P = np.stack([masked[name] for name in sorted(masked)]).sum(axis=0, dtype=np.uint64)
    for name in sorted(masked):
        own = recover([Share.decode(told["own"][name]) for told in revealed.values()], threshold)
        total_P -= mask_of(own, len(total_P))
    for lost in sorted({*covered} - {*masked}):
        cover = recover([Share.decode(told["cover"][lost]) for told in revealed.values()], threshold)
        seeds = _uncovered(lost, cover, covered[lost])
        for name in sorted(masked):
            _add(total_P, mask_of(bytes.fromhex(seeds[name]), len(total_P)), lost < name)
    return total_P


def _uncovered(node: str, cover: bytes, covered: str) -> dict[str, str]:
    """A lost node's seeds with the others."""
    try:
        return json.loads(ChaCha20Poly1305(cover).decrypt(_NONCE, bytes.fromhex(covered), node.encode()))
    except InvalidTag:
        raise ValueError(f"the shares of {node} do not belong to its key") from None


def _add(total_P: Integers, mask_P: Integers, plus: bool) -> None:
    np.add(total_P, mask_P, out=total_P) if plus else np.subtract(total_P, mask_P, out=total_P)


def _private(key: str) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(bytes.fromhex(key))


def _route(sender: str, receiver: str) -> bytes:
    return f"{sender} {receiver}".encode()


def mask_of(seed: bytes, count: int) -> Integers:
    """So many numbers modulo 2^64 from ChaCha20 under a key that is made of the seed."""
    key = hashlib.sha256(b"lehr mask" + seed).digest()
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(8 * count))
    return np.frombuffer(stream, dtype="<u8")
