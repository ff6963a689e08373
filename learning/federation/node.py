"""A node: it answers what the coordinator asks, and its rows stay with it.

Shapes: P shared numbers, C sensors, O outputs.
"""

import hashlib
from collections.abc import Callable
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from data.samples import Samples
from learning.federation.classes import offsets_of
from learning.federation.config import GivenUnits, NodePrivacy, PersonalUnits, RecordPrivacy, SharedUnits
from learning.federation.fixed_point import encode, encode_wide
from learning.federation.local import Steps, learn_locally, rate_of
from learning.federation.masking import NodeMask
from learning.federation.messages import Array, Message, decode
from learning.federation.plan import Plan
from learning.federation.privacy import add_noise, clip, epsilon_of
from learning.federation.records import draw_rate, learn_privately
from learning.federation.sharing import SharedPart, Vector
from learning.federation.sources import NodeData
from learning.federation.units import put_given, put_units, sums_of
from learning.normalisation import fit_normalisers
from learning.randomness import seeded
from models.network import Network


class Node:
    """One participant. clock: seconds, for `node_seconds`.

    Whatever is asked a second time is answered as the first time, and another question in its place is refused, so that
    an answer that was lost can be fetched again and no mask is opened twice.
    """

    def __init__(self, name: str, data: NodeData, clock: Callable[[], float] = monotonic) -> None:
        self.name, self.data = name, data
        self.answered: dict[str, tuple[str, bytes]] = {}
        self.mask: NodeMask | None = None
        self.control_P: Vector | None = None
        self.private_steps: list[tuple[float, float, int]] = []
        self.finished = False
        self._clock = clock
        self._plan: Plan | None = None

    @property
    def joined(self) -> bool:
        """Whether there is a plan."""
        return self._plan is not None

    @property
    def plan(self) -> Plan:
        """What was agreed; raises ValueError before that."""
        if self._plan is None:
            raise ValueError("the node has not joined yet")
        return self._plan

    def take_plan(self, plan: Plan) -> None:
        """Make ready for a plan; raises ValueError where this node's data do not fit it."""
        self.samples: Samples = self.data.among(plan.sensors, plan.labels)
        self._has_C = np.isin(plan.sensors, self.data.sensors)
        self._has_units = False
        self.network: Network = plan.fresh_network()
        self.part = SharedPart(self.network, plan.federation.personal)
        match plan.federation.units:
            case PersonalUnits():
                fit_normalisers(self.network, self.samples)
            case GivenUnits() as units:
                put_given(self.network, tuple(plan.sensors), units)
            case SharedUnits():
                pass
        self._plan = plan

    def answer(self, content: bytes) -> bytes:
        """Answer a message; a mistake or a training that fails is told in the answer.

        Raises ValueError for what is no message, and for another question where one was answered.
        """
        asked, digest = decode(content), hashlib.sha256(content).hexdigest()
        key = f"{asked.federation} {asked.round} {asked.kind}"
        if key in self.answered:
            before, answer = self.answered[key]
            if before != digest:
                raise ValueError(f"round {asked.round}: another question of the kind {asked.kind} was answered already")
            return answer
        try:
            told = self._tell(asked)
        except (ValueError, FloatingPointError) as mistake:
            told = asked.answer({"failed": str(mistake)[:500]})
        answer = told.encode()
        current = (f"{asked.federation} {asked.round} ", f"{asked.federation} 0 ")
        self.answered = {k: v for k, v in self.answered.items() if k.startswith(current)}
        self.answered[key] = digest, answer
        return answer

    def _tell(self, asked: Message) -> Message:
        handlers = {
            "join": self._join,
            "plan": self._agree,
            "units": self._units,
            "keys": self._keys,
            "pairs": self._pairs,
            "shares": self._shares,
            "train": self._train,
            "unmask": self._unmask,
            "done": self._done,
        }
        if asked.kind not in handlers:
            raise ValueError(f"{asked.kind!r} is no question")
        return handlers[asked.kind](asked)

    def _join(self, asked: Message) -> Message:
        data = self.data
        labels = None if data.labels is None else list(data.labels)
        said = {"sensors": list(data.sensors), "task": data.task, "labels": labels}
        return asked.answer({**said, "length": data.samples.length, "outputs": data.outputs})

    def _agree(self, asked: Message) -> Message:
        self.take_plan(Plan.model_validate(asked.body["plan"]))
        return asked.answer({})

    def _units(self, asked: Message) -> Message:
        plan = self.plan
        counted = plan.federation.logit_adjustment
        sums = sums_of(self.samples, plan.outputs, has_values=plan.task == "regression", counted=counted)
        if "inbox" not in asked.body:
            return asked.answer({}, {"sums": sums})
        return asked.answer({}, {"masked": self._masked(encode_wide(sums.flatten().tolist()), asked)})

    def _keys(self, asked: Message) -> Message:
        self.mask = NodeMask.begin(self.name)
        return asked.answer({"public": self.mask.public()})

    def _pairs(self, asked: Message) -> Message:
        assert self.mask is not None
        self.mask.agree(asked.federation, asked.body["keys"])
        return asked.answer({})

    def _shares(self, asked: Message) -> Message:
        assert self.mask is not None
        if asked.round > self.plan.federation.rounds:
            raise ValueError(f"round {asked.round} is none of the {self.plan.federation.rounds} that were agreed")
        sealed, covered = self.mask.share_out(asked.round, asked.body["names"], asked.body["threshold"])
        return asked.answer({"sealed": sealed, "covered": covered})

    def _unmask(self, asked: Message) -> Message:
        assert self.mask is not None
        return asked.answer({"revealed": self.mask.reveal(asked.body["survivors"], asked.body["threshold"])})

    def _done(self, asked: Message) -> Message:
        self._receive(asked)
        self.finished = True
        privacy = self.plan.federation.privacy
        spent = epsilon_of(tuple(self.private_steps), privacy.delta) if isinstance(privacy, RecordPrivacy) else None
        return asked.answer({} if spent is None else {"epsilon": spent})

    def _train(self, asked: Message) -> Message:
        federation = self.plan.federation
        self._receive(asked)
        before_P: Vector = asked.arrays["state"]
        steps = self._learn(asked, before_P)
        change_P = self.part.read() - before_P
        arrays: dict[str, Array] = {"change": change_P}
        if federation.aggregation.method == "scaffold":
            arrays["control"] = self._new_control(asked, change_P, steps)
        weight = float(len(self.samples))
        if isinstance(federation.privacy, NodePrivacy):
            privacy, weight = federation.privacy, 1.0
            deviation = privacy.noise * privacy.clip / np.sqrt(asked.body["least"])
            arrays["change"] = add_noise(clip(change_P, privacy.clip), deviation, self._noise(asked))
        if "inbox" not in asked.body:
            return asked.answer(self._said(weight, steps), arrays)
        known_C = weight * np.concatenate([[1.0], self._has_C])
        parts = [weight * arrays["change"].astype(np.float64), arrays.get("control", np.zeros(0)), known_C]
        count = len(asked.body["inbox"]) + 1
        return asked.answer({}, {"masked": self._masked(encode(np.concatenate(parts, dtype=np.float64), count), asked)})

    def _receive(self, asked: Message) -> None:
        """Stand where the coordinator stands."""
        if "mean" in asked.arrays and not self._has_units:  # they stay the same as long as the plan does
            put_units(self.network, asked.arrays["mean"], asked.arrays["std"])
            self._has_units = True
        self.part.write(asked.arrays["state"])

    def _learn(self, asked: Message, before_P: Vector) -> Steps:
        training, federation = self.plan.training, self.plan.federation
        rate = rate_of(training, asked.round, federation.rounds)
        goes_on = self._until(federation.node_seconds)
        with seeded(federation.seed, _number(self.name, asked.round)):
            match federation.privacy:
                case RecordPrivacy() as privacy:
                    seed = None if privacy.seed is None else [privacy.seed, _number(self.name, asked.round)]
                    noise = torch.Generator().manual_seed(int(np.random.default_rng(seed).integers(2**62)))
                    steps = learn_privately(
                        self.network, self.samples, training, federation.local_epochs, rate, privacy, noise, goes_on
                    )
                    self.private_steps.append((privacy.noise, draw_rate(self.samples, training), steps.done))
                    return steps
                case _:
                    correction = self._correction(asked, before_P)
                    counts_O = asked.arrays.get("classes")
                    offsets_O = None if counts_O is None else offsets_of(self.samples, counts_O)
                    how = training, federation.local_epochs, rate, correction, goes_on, offsets_O
                    return learn_locally(self.network, self.samples, *how)

    def _until(self, seconds: float | None) -> Callable[[], bool]:
        began = self._clock()
        return lambda: seconds is None or self._clock() - began < seconds

    def _correction(self, asked: Message, before_P: Vector) -> Callable[[list[Parameter]], None] | None:
        """What fedprox and scaffold add to each gradient."""
        aggregation = self.plan.federation.aggregation
        if aggregation.method == "fedprox":
            pulled, mu = self._by_place(before_P), aggregation.mu

            @torch.no_grad()
            def draw_back(parameters: list[Parameter]) -> None:
                for i, anchor in pulled:
                    gradient = parameters[i].grad
                    assert gradient is not None
                    gradient.add_(parameters[i] - anchor, alpha=mu)

            return draw_back
        if aggregation.method == "scaffold":
            moved = self._by_place(asked.arrays["control"] - self._own_control())

            @torch.no_grad()
            def take_out(parameters: list[Parameter]) -> None:
                for i, part in moved:
                    gradient = parameters[i].grad
                    assert gradient is not None
                    gradient.add_(part)

            return take_out
        return None

    def _by_place(self, vector_P: Vector) -> list[tuple[int, Tensor]]:
        """The part of a vector that belongs to each shared weight, with the weight's place among all parameters."""
        parts = self.part.parameters(vector_P)
        return [(i, parts[name]) for i, (name, _) in enumerate(self.network.named_parameters()) if name in parts]

    def _own_control(self) -> Vector:
        return np.zeros(self.part.size, dtype=np.float32) if self.control_P is None else self.control_P

    def _new_control(self, asked: Message, change_P: Vector, steps: Steps) -> Vector:
        """The change of this node's control variate, by option II of the paper."""
        own_P = self._own_control()
        self.control_P = (own_P - asked.arrays["control"] - change_P / (steps.done * steps.rate)).astype(np.float32)
        return self.control_P - own_P

    def _noise(self, asked: Message) -> np.random.Generator:
        privacy = self.plan.federation.privacy
        assert privacy is not None
        return np.random.default_rng(None if privacy.seed is None else [privacy.seed, _number(self.name, asked.round)])

    def _said(self, weight: float, steps: Steps) -> dict[str, Any]:
        """What goes beside the update; with privacy nothing but, at record level, the number of rows."""
        if self.plan.federation.privacy is not None:
            return {"rows": weight}
        return {"rows": weight, "steps": steps.done, "planned": steps.planned, "loss": steps.loss}

    def _masked(self, values: Array, asked: Message) -> Array:
        assert self.mask is not None
        return self.mask.mask(values, asked.body["inbox"])


def _number(name: str, round_number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{name} {round_number}".encode()).digest()[:6], "big")
