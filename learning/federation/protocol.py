"""The protocol of a federation, from the first question to the global model.

Shapes: P shared numbers, C sensors, S units of sensors and outputs, n nodes.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learning.config import TrainingConfig
from learning.federation.aggregation import Doubles, Update, combine, divide, step
from learning.federation.checks import check_array, check_length, check_number, too_long
from learning.federation.config import ROBUST, FederationConfig, NodePrivacy, RecordPrivacy, SharedUnits
from learning.federation.fixed_point import decode, decode_wide
from learning.federation.messages import Array, Message
from learning.federation.plan import Plan, make_plan
from learning.federation.privacy import Spent, epsilon_of
from learning.federation.questions import LEAST_HIDDEN, Phases, Questions, Replies, agree_on_keys, hidden_sum
from learning.federation.records import check_network
from learning.federation.results import FederatedModel
from learning.federation.sharing import SharedPart
from learning.federation.state import State
from learning.federation.units import put_given, put_sums, put_units, units_of
from models.config import LstmConfig, MlpConfig, ModelConfig
from models.network import Network


class Protocol:
    """What is asked in which order, and what is made of the answers; all that outlives a round stands in `state`."""

    def __init__(
        self,
        questions: Questions,
        names: Sequence[str],
        model: ModelConfig | None,
        training: TrainingConfig,
        federation: FederationConfig,
        start: FederatedModel | None,
        state: State,
    ) -> None:
        self._questions, self._names = questions, sorted(names)
        self._model, self._training, self._federation = model, training, federation
        self._start, self._state = start, state

    def run(self) -> Phases[FederatedModel]:
        """From where the state stands to the end."""
        state, federation = self._state, self._federation
        if state.plan is None:
            yield from self._begin()
        plan = self._plan
        network = plan.fresh_network()
        self._part = SharedPart(network, federation.personal)
        put_units(network, state.mean_S, state.std_S)
        while state.round < federation.rounds:
            record = yield from self._round(state.round + 1)
            state.history.append(record)
            state.round += 1
        self._part.write(state.vector_P)
        last = federation.rounds + 1
        ended = yield self._questions.ask("done", last, sorted(state.members), {}, self._arrays(), least=0)
        told = tuple(state.history), tuple(state.refused), tuple(state.lost)
        return FederatedModel(plan, network.eval(), *told, self._spent(ended), state.offenders())

    @property
    def _plan(self) -> Plan:
        assert self._state.plan is not None
        return self._state.plan

    def _begin(self) -> Phases[None]:
        """Who takes part, what all know, and the units that all share."""
        federation, questions = self._federation, self._questions
        joined = yield questions.ask("join", 0, self._names)
        said = {name: dict(reply.body) for name, reply in joined.items()}
        model, known = self._model or _default_model(said), None if self._start is None else self._start.plan
        plan = make_plan(list(said.values()), model, self._training, federation, known)
        network = plan.fresh_network()
        if isinstance(federation.privacy, RecordPrivacy):
            check_network(network)
        if federation.units.kind == "given":
            put_given(network, tuple(plan.sensors), federation.units)
        agreed = yield questions.ask("plan", 0, sorted(said), {"plan": plan.to_dict()})
        if federation.secure:
            agreed = yield from agree_on_keys(questions, sorted(agreed))
        members = {name: [sensor in said[name]["sensors"] for sensor in plan.sensors] for name in sorted(agreed)}
        part = SharedPart(network, federation.personal)
        counts_O = np.zeros(0)
        if isinstance(federation.units, SharedUnits):
            sums_3S = yield from self._sum_units(plan, sorted(members))
            put_sums(network, sums_3S)
            counts_O = sums_3S[0, len(plan.sensors) :]
        if self._start is not None:
            _take_weights(network, self._start.network)
        mean_S, std_S = units_of(network)
        self._state.begin(plan, members, part.read(), mean_S, std_S, counts_O)

    def _sum_units(self, plan: Plan, members: Sequence[str]) -> Phases[Doubles]:
        shape = (3, len(plan.sensors) + plan.outputs)
        if self._federation.secure:
            total, nodes = yield from hidden_sum(self._questions, "units", 0, members, 4 * shape[0] * shape[1])
            return decode_wide(total, len(nodes)).reshape(shape)

        def check(answer: Message) -> None:
            check_array(answer, "sums", shape, np.float64)

        replies = yield self._questions.ask("units", 0, members, check=check)
        return np.sum([reply.arrays["sums"] for reply in replies.values()], axis=0)

    def _round(self, number: int) -> Phases[dict[str, Any]]:
        state, federation, questions = self._state, self._federation, self._questions
        asked = self._draw(number)
        record: dict[str, Any] = {"round": number, "asked": asked, "answered": [], "loss": None}
        if len(asked) < (LEAST_HIDDEN if federation.secure else 1):
            return record
        body, arrays = {"least": questions.least(len(asked))}, self._arrays()
        if self._has_controls:
            arrays["control"] = state.server.control_P
        if federation.secure:
            size = self._part.size * (1 + self._has_controls) + 1 + len(self._plan.sensors)
            total, record["answered"] = yield from hidden_sum(questions, "train", number, asked, size, body, arrays)
            change_P, control_P = self._from_sum(decode(total))
        else:
            replies = yield questions.ask("train", number, asked, body, arrays, check=self._check_update)
            record["answered"], record["loss"] = sorted(replies), _mean_loss(replies)
            change_P, control_P = self._from_updates(number, replies)
        change_P = step(federation.aggregation, state.server, change_P)
        state.vector_P = (state.vector_P + change_P).astype(np.float32)
        state.server.control_P = (state.server.control_P + control_P / len(state.members)).astype(np.float32)
        return record

    def _from_updates(self, number: int, replies: Replies) -> tuple[Doubles, Doubles]:
        """The combined change, and the sum of the changes of the control variates."""
        state, federation = self._state, self._federation
        updates = [
            Update(name, reply.arrays["change"], float(reply.body["rows"]), self._known(name))
            for name, reply in replies.items()
        ]
        if isinstance(federation.privacy, NodePrivacy):
            total_P = np.sum([u.change_P.astype(np.float64) * u.known_P for u in updates], axis=0)
            return divide(total_P, self._expected()), np.zeros(1)
        for name, reason in too_long(updates, federation.max_norm_ratio).items():
            state.refuse(number, name, reason)
            updates = [update for update in updates if update.node != name]
        state.watch.look(number, state.vector_P, updates)
        if isinstance(federation.aggregation, ROBUST):
            updates = state.watch.without_named(updates)
        change_P = combine(federation.aggregation, updates)
        if not self._has_controls:
            return change_P, np.zeros(1)
        return change_P, np.stack([replies[u.node].arrays["control"] for u in updates]).sum(0, dtype=np.float64)

    def _from_sum(self, total: Doubles) -> tuple[Doubles, Doubles]:
        """What `_from_updates` says, from sums alone: weighted changes, controls, then weights of all and by sensor."""
        size, sensors = self._part.size, len(self._plan.sensors)
        weight, weight_C = total[-1 - sensors], total[-sensors:]
        weight_P = np.where(self._part.sensor_P < 0, weight, weight_C[self._part.sensor_P])
        if isinstance(self._federation.privacy, NodePrivacy):
            weight_P = self._expected()
        return divide(total[:size], weight_P), total[size : 2 * size] if self._has_controls else np.zeros(1)

    def _expected(self) -> Doubles:
        """How many nodes tell of each number on average: a count of those that did would tell of them."""
        return self._federation.fraction * np.sum([self._known(name) for name in self._state.members], axis=0)

    def _draw(self, number: int) -> list[str]:
        """Who is asked in a round; for node-level privacy each by a draw of its own that nobody can foresee."""
        names, federation = sorted(self._state.members), self._federation
        if federation.fraction == 1:
            return names
        if isinstance(federation.privacy, NodePrivacy):
            draws = np.random.default_rng(int(self._questions.nonce(number, "draw"), 16)).random(len(names))
            return [name for name, draw in zip(names, draws, strict=True) if draw < federation.fraction]
        count = max(LEAST_HIDDEN if federation.secure else 1, ceil(federation.fraction * len(names)))
        chosen = np.random.default_rng([federation.seed, number]).permutation(len(names))[:count]
        return [names[i] for i in sorted(chosen)]

    def _check_update(self, answer: Message) -> None:
        check_array(answer, "change", (self._part.size,), np.float32)
        if self._has_controls:
            check_array(answer, "control", (self._part.size,), np.float32)
        check_number(answer, "rows", 1, 1e12)
        privacy = self._federation.privacy
        if isinstance(privacy, NodePrivacy):  # a bound that follows from no row, and that noise does not reach
            limit = privacy.clip * (1 + 2 * privacy.noise * np.sqrt(self._part.size))
            check_length(answer, "change", float(limit))
        if "loss" in answer.body:
            check_number(answer, "loss", -1e12, 1e12)

    @property
    def _has_controls(self) -> bool:
        return self._federation.aggregation.method == "scaffold"

    def _arrays(self) -> dict[str, Array]:
        """Where the coordinator stands."""
        state, arrays = self._state, dict[str, Array](state=self._state.vector_P)
        shared = isinstance(self._federation.units, SharedUnits)
        if self._federation.logit_adjustment:
            arrays["classes"] = state.counts_O
        return {**arrays, "mean": state.mean_S, "std": state.std_S} if shared else arrays

    def _known(self, name: str) -> NDArray[np.bool_]:
        return self._part.known_to(np.array(self._state.members[name]))

    def _spent(self, ended: Replies) -> tuple[Spent, ...]:
        match self._federation.privacy:
            case NodePrivacy() as privacy:
                history = ((privacy.noise, self._federation.fraction, self._federation.rounds),)
                return (Spent("node", epsilon_of(history, privacy.delta), privacy.delta),)
            case RecordPrivacy(delta=delta):
                told = {name: reply.body for name, reply in ended.items() if "epsilon" in reply.body}
                return tuple(Spent("record", float(body["epsilon"]), delta, name) for name, body in told.items())
            case None:
                return ()


def _mean_loss(replies: Replies) -> float | None:
    """Over all rows; None where the nodes do not tell."""
    told = [(float(r.body["rows"]), float(r.body["loss"])) for r in replies.values() if "loss" in r.body]
    return sum(rows * loss for rows, loss in told) / sum(rows for rows, _ in told) if told else None


def _default_model(said: Mapping[str, Mapping[str, Any]]) -> ModelConfig:
    """Rows go through an MLP, windows through an LSTM."""
    return MlpConfig() if all(one["length"] == 1 for one in said.values()) else LstmConfig()


def _take_weights(network: Network, start: Network) -> None:
    shape = network.config, network.features, network.outputs, network.task
    if shape != (start.config, start.features, start.outputs, start.task):
        raise ValueError("start: it is another network than the plan's, or knows other sensors or classes")
    network.load_state_dict(start.state_dict())
