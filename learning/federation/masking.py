"""Secure aggregation (Bonawitz et al. 2017): the coordinator learns the sum of the nodes' vectors and none of them.

Each pair of nodes agrees on a mask that one adds and the other takes away, and each adds one of its own. Of both, every
node gives Shamir shares to the others, sealed, so that the masks of lost nodes can be taken out again. It holds against
a coordinator that follows the protocol but is curious, and against fewer curious nodes than the threshold.

Shapes: P numbers in a vector, as integers modulo 2^64.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

Public = Mapping[str, str]
"""A node's two public keys in hex: `seal` for shares on their way, `mask` for what pairs agree on."""


@dataclass
class NodeMask:
    """One node's part in one round. context: names the round; all keys belong to it.

    own: the seed of the mask of its own. inbox: the sealed shares that others gave it.
    """

    node: str
    context: str
    seal_key: bytes
    mask_key: bytes
    own: bytes
    keys: dict[str, Public] = field(default_factory=dict[str, Public])
    inbox: dict[str, str] = field(default_factory=dict[str, str])
    kept: str = ""

    @classmethod
    def begin(cls, node: str, context: str) -> "NodeMask":
        """New keys from the operating system's randomness."""
        return cls(node, context, secrets.token_bytes(32), secrets.token_bytes(32), secrets.token_bytes(32))

    def public(self) -> dict[str, str]:
        """What all may know."""
        return {"seal": _public(self.seal_key), "mask": _public(self.mask_key)}

    def share_out(self, keys: Mapping[str, Public], threshold: int) -> dict[str, str]:
        """Sealed shares for every other node; so many of them together tell a secret.

        Raises ValueError where the keys are too few, or are not what this node said.
        """
        names = sorted(keys)
        if keys.get(self.node) != self.public() or not len(names) >= threshold > len(names) // 2:
            raise ValueError(f"{len(names)} nodes are too few to hide one among them, or their keys are not right")
        self.keys = {name: dict(keys[name]) for name in names}
        own, mask = (split(secret, len(names), threshold) for secret in (self.own, self.mask_key))
        sealed: dict[str, str] = {}
        for name, of_own, of_mask in zip(names, own, mask, strict=True):
            text = f"{of_own.encode()} {of_mask.encode()}"
            if name == self.node:
                self.kept = text
            else:
                sealed[name] = self._seal(name, text)
        return sealed

    def mask(self, vector_P: Integers, inbox: Mapping[str, str]) -> Integers:
        """The vector under all masks of this round; inbox: the shares of all who take part, by node."""
        self.inbox = dict(inbox)
        masked_P = vector_P + _stream(self.own, len(vector_P))
        for other in sorted(self.inbox):
            sign = _stream(_agreed(self.mask_key, self.keys[other]["mask"], self.context), len(vector_P))
            masked_P = masked_P + sign if self.node < other else masked_P - sign
        return masked_P

    def reveal(self, survivors: Sequence[str], threshold: int) -> dict[str, dict[str, str]]:
        """For each survivor a share of its own mask, for each lost node one of what it agreed on; never both.

        Raises ValueError where the survivors are too few, or do not count this node.
        """
        everyone = {self.node, *self.inbox}
        enough = len({*survivors}) >= threshold > len(self.keys) // 2
        if self.node not in survivors or not enough or not {*survivors} <= everyone:
            raise ValueError(f"{len(survivors)} survivors are too few to hide one among them")
        opened = {name: self._open(name, sealed).split(" ") for name, sealed in self.inbox.items()}
        opened[self.node] = self.kept.split(" ")
        return {
            "own": {name: opened[name][0] for name in sorted(survivors)},
            "mask": {name: opened[name][1] for name in sorted(everyone - {*survivors})},
        }

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON, for this node's own journal: it holds the round's secrets."""
        keys = {"seal_key": self.seal_key.hex(), "mask_key": self.mask_key.hex(), "own": self.own.hex()}
        said = {"node": self.node, "context": self.context, "keys": self.keys, "inbox": self.inbox, "kept": self.kept}
        return {**keys, **said}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "NodeMask":
        """What `to_dict` wrote."""
        seal_key, mask_key, own = (bytes.fromhex(document[name]) for name in ("seal_key", "mask_key", "own"))
        keys, inbox, kept = (document[name] for name in ("keys", "inbox", "kept"))
        return cls(document["node"], document["context"], seal_key, mask_key, own, keys, inbox, kept)

    def _seal(self, other: str, text: str) -> str:
        key, nonce = _agreed(self.seal_key, self.keys[other]["seal"], self.context), secrets.token_bytes(12)
        return (nonce + ChaCha20Poly1305(key).encrypt(nonce, text.encode(), _route(self.node, other))).hex()

    def _open(self, other: str, sealed: str) -> str:
        key, content = _agreed(self.seal_key, self.keys[other]["seal"], self.context), bytes.fromhex(sealed)
        try:
            return ChaCha20Poly1305(key).decrypt(content[:12], content[12:], _route(other, self.node)).decode()
        except InvalidTag:
            raise ValueError(f"the share of {other} was changed on its way") from None


def unmask(
    masked: Mapping[str, Integers],
    keys: Mapping[str, Public],
    shared: Sequence[str],
    revealed: Mapping[str, Mapping[str, Mapping[str, str]]],
    threshold: int,
    context: str,
) -> Integers:
    """The sum of the survivors' vectors, modulo 2^64.

    masked: by survivor. shared: all whose masks are in it, survivors or not. revealed: what survivors answered.
    Raises ValueError where too few answered, or a share does not belong to the key that was told.
    """
    if len(revealed) < threshold:
        raise ValueError(f"{len(revealed)} nodes answered, {threshold} are needed to take the masks out")
    total_P = np.stack([masked[name] for name in sorted(masked)]).sum(axis=0, dtype=np.uint64)
    for name in sorted(masked):
        own = recover([Share.decode(told["own"][name]) for told in revealed.values()], threshold)
        total_P = total_P - _stream(own, len(total_P))
    for lost in sorted({*shared} - {*masked}):
        key = recover([Share.decode(told["mask"][lost]) for told in revealed.values()], threshold)
        if _public(key) != keys[lost]["mask"]:
            raise ValueError(f"the shares of {lost} do not belong to its key")
        for name in sorted(masked):
            stream_P = _stream(_agreed(key, keys[name]["mask"], context), len(total_P))
            total_P = total_P - stream_P if name < lost else total_P + stream_P
    return total_P


def _public(key: bytes) -> str:
    return X25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw().hex()


def _agreed(own: bytes, other: str, context: str) -> bytes:
    secret = X25519PrivateKey.from_private_bytes(own).exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(other)))
    return HKDF(hashes.SHA256(), 32, salt=None, info=context.encode()).derive(secret)


def _stream(seed: bytes, count: int) -> Integers:
    """So many numbers modulo 2^64 from ChaCha20 under a key that is made of the seed."""
    key = hashlib.sha256(b"lehr mask" + seed).digest()
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(8 * count))
    return np.frombuffer(stream, dtype="<u8").astype(np.uint64)


def _route(sender: str, receiver: str) -> bytes:
    return f"{sender} {receiver}".encode()
