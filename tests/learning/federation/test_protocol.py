"""Whole federations in this process."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from learning.config import TrainingConfig
from learning.federated import METHODS, FederatedLearningCoordinator
from learning.federation.coordinator import Coordinator
from learning.federation.messages import Message, RefusedError, decode
from learning.federation.node import Node
from learning.federation.results import FederatedModel
from learning.federation.run import Ask, Participant, ask_in_turn
from learning.federation.sharing import SharedPart
from learning.federation.sources import node_data
from learning.federation.state import State
from models.config import CnnConfig, LstmConfig
from tests.learning.federation.hostile import Hostile, Lost
from tests.learning.federation.plants import MODEL, TRAINING, accuracy, plant, plants, unseen


def train(sources: Any, rounds: int = 8, method: Any = "fedavg", how: Any = None, **federation: Any) -> FederatedModel:
    coordinator = FederatedLearningCoordinator(
        model=MODEL, training=None if method == "scaffold" else TRAINING, federation=federation
    )
    return coordinator.coordinate_training(sources, rounds, method, ask=how or ask_in_turn)


def among(twisted: Mapping[str, Callable[[Node], Participant]]) -> Callable[[Mapping[str, Node]], Ask]:
    """The nodes in turn, some of them exchanged."""

    def ask(nodes: Mapping[str, Node]) -> Ask:
        return ask_in_turn({name: twisted[name](node) if name in twisted else node for name, node in nodes.items()})

    return ask


def hostile(**kinds: str) -> Callable[[Mapping[str, Node]], Ask]:
    def exchanged(kind: str) -> Callable[[Node], Participant]:
        return lambda node: Hostile(node, kind)

    return among({f"node-{number.lstrip('n')}": exchanged(kind) for number, kind in kinds.items()})


def weights(model: FederatedModel) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in model.network.state_dict().values())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_what_no_node_could(method: str) -> None:
    readings, classes = unseen()
    sources = plants(6, skewed=True)
    model = train(sources, 12, method)
    alone = [accuracy(train([source], 12).predict(readings), classes) for source in sources[:2]]
    assert accuracy(model.predict(readings), classes) > max(0.8, *alone)
    assert model.classes == ["0", "1", "2"] and model.offenders == {}


def test_the_call_of_the_earlier_module() -> None:
    node_data_list = plants(3, rows=60)
    global_model = FederatedLearningCoordinator().coordinate_training(
        node_data_sources=node_data_list, rounds=2, aggregation_method="fedavg"
    )
    assert global_model.predict(node_data_list[0][0]).shape == (60, 3)
    with pytest.raises(ValueError, match=r"aggregation_method: 'fedsgd'.*allowed are fedavg, fedprox"):
        FederatedLearningCoordinator().coordinate_training(node_data_list, 2, "fedsgd")


def _with(value: float, where: slice) -> Any:
    readings, classes = plant(7, rows=60)
    readings[where] = value
    return readings, classes


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (_with(math.nan, slice(None)), "node-2: all readings are missing"),
        (_with(math.inf, slice(None)), "node-2: a reading is infinite"),
        (_with(-math.inf, slice(1)), "node-2: a reading is infinite"),
    ],
)
def test_a_node_whose_readings_are_no_numbers_is_refused_by_name(node: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        train([plant(1, rows=60), node], 1)
    values = plant(7, rows=60)[0], np.full(60, np.nan)
    with pytest.raises(ValueError, match="node-1: a target is no finite number"):
        train([values], 1)


@pytest.mark.parametrize(
    ("how", "rounds", "said"),
    [
        (
            {},
            0,
            r"federation is not a valid configuration:\n  rounds: input should be greater than or equal to 1, got 0$",
        ),
        ({"federation": {"rouns": 3}}, 1, "rouns: unknown key.*did you mean 'rounds'"),
        ({"federation": {"quorum": math.nan}}, 1, "quorum: input should be a finite number, got nan$"),
        ({"federation": 3}, 1, "federation: a FederationConfig or a mapping, not 3"),
        ({"data": {"target": 3}}, 1, "data is not a valid configuration:\n  target: input should be a valid string"),
    ],
)
def test_a_mistake_in_the_call_is_named_in_lehrs_own_words(how: dict[str, Any], rounds: int, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        FederatedLearningCoordinator(**how).coordinate_training(plants(2, rows=60), rounds)
    assert "pydantic" not in str(refused.value)


def test_readings_that_do_not_fit_the_model_are_refused_with_its_sensors() -> None:
    model = train(plants(2, rows=60), 1)
    readings, _ = plant(3, rows=60)
    for wrong in (readings[:, :3], readings[0], readings[None, None]):
        with pytest.raises(ValueError, match=r"readings \(.*\) are not .* of the 4 sensors x1, x2, x3, x4"):
            model.predict(wrong)


def test_the_same_seed_gives_the_same_model_to_the_bit() -> None:
    first, again = (train(plants(3, rows=60), rounds=3, fraction=0.7, local_epochs=1) for _ in range(2))
    assert weights(first) == weights(again)
    assert [one["asked"] for one in first.rounds] == [one["asked"] for one in again.rounds]
    assert {len(one["asked"]) for one in first.rounds} == {3}
    assert weights(first) != weights(train(plants(3, rows=60), rounds=3, seed=1))


@pytest.mark.parametrize("method", ["fedavg", "scaffold", "fedadam"])
def test_secure_aggregation_gives_the_same_model_within_the_fixed_point(method: str) -> None:
    sources = plants(4, rows=60)
    plain, hidden = (train(sources, 3, method, secure=secure) for secure in (False, True))
    for a, b in zip(plain.network.state_dict().values(), hidden.network.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=2e-4)
    assert {one["loss"] for one in hidden.rounds} == {None}


def test_two_of_ten_nodes_are_lost_in_the_midst_of_a_secure_round() -> None:
    """The sum is that of the others, as if the lost had not been asked."""
    sources = plants(10, rows=40)

    def without(kind: str | None) -> FederatedModel:
        lost = {name: lambda node: Lost(node, range(2, 3), kind) for name in ("node-03", "node-08")}
        return train(sources, 3, secure=True, how=among(lost))

    late, early = without("train"), without("shares")
    assert weights(late) == weights(early)
    assert [len(one["answered"]) for one in late.rounds] == [10, 8, 10]
    assert [(one["round"], one["node"]) for one in late.lost] == [(2, "node-03"), (2, "node-08")]


def test_hostile_nodes_change_little_and_are_named() -> None:
    readings, classes = unseen()
    kinds = {"n02": "flipped", "n07": "nan"}
    for method in ("krum", "trimmed_mean"):
        clean, attacked = train(plants(10), method=method), train(plants(10), method=method, how=hostile(**kinds))
        assert accuracy(attacked.predict(readings), classes) > accuracy(clean.predict(readings), classes) - 0.05
        assert set(attacked.offenders) == {"node-02", "node-07"}
        assert "turn with the weights' moves" in attacked.offenders["node-02"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("nan", "its change is not finite"),
        ("huge", "times as long as the median update"),
        ("shape", r"its change is float32 \[130\], not float32 \[131\]"),
        ("type", r"its change is float64 \[131\]"),
        ("replay", "it is for the round 1, asked is"),
        ("nonce", "its nonce is another round's"),
    ],
)
def test_what_is_no_sound_update_does_not_count(kind: str, said: str) -> None:
    model = train(plants(4, rows=40), 3, how=hostile(n2=kind))
    assert set(model.offenders) == {"node-2"}
    assert all(re.search(said, one["reason"]) for one in model.refused)
    assert len(model.refused) == (2 if kind == "replay" else 3)


def test_with_node_level_privacy_a_huge_update_is_refused_by_a_bound_that_follows_from_no_row() -> None:
    private = {"units": {"kind": "given"}, "privacy": {"level": "node", "noise": 0.1, "seed": 0}}
    model = train(plants(4, rows=40), 2, how=hostile(n2="huge"), **private)
    assert set(model.offenders) == {"node-2"} and "its change is longer than" in model.offenders["node-2"]
    with pytest.raises(ValueError, match="3 of 4 nodes answered, 4 are needed"):
        train(plants(4, rows=40), 2, how=hostile(n2="huge"), quorum=1.0, **private)


def test_without_a_quorum_nothing_moves() -> None:
    down = {name: lambda node: Lost(node, range(2, 99)) for name in ("node-1", "node-2")}
    with pytest.raises(
        ValueError, match="round 2, train: 1 of 3 nodes answered, 2 are needed; missing: node-1, node-2"
    ):
        train(plants(3, rows=40), 3, how=among(down))


def test_given_units_of_a_sensor_that_is_none_are_named_and_no_nodes_are_blamed() -> None:
    units = {"kind": "given", "mean": {"x9": 1.0}}
    with pytest.raises(ValueError, match=r"^units: there is no sensor x9; there are x1, x2, x3, x4$"):
        train(plants(3, rows=40), 1, units=units)


def test_without_a_quorum_the_cause_comes_first() -> None:
    down = {name: lambda node: Lost(node, range(2, 99)) for name in ("node-1", "node-2")}

    def failing(nodes: Mapping[str, Node]) -> Ask:
        for node in nodes.values():
            node._learn = lambda *_: (_ for _ in ()).throw(FloatingPointError("the loss is nan"))  # type: ignore[method-assign]
        return among(down)(nodes)

    with pytest.raises(ValueError, match=r"^the loss is nan; so round 1, train: 0 of 3 nodes answered"):
        train(plants(3, rows=40), 3, how=failing)


def test_a_slow_node_sends_what_it_has_learned_until_then() -> None:
    ticks = iter(range(10_000))

    def slow(nodes: Mapping[str, Node]) -> Ask:
        nodes["node-2"]._clock = lambda: float(next(ticks))  # pyright: ignore[reportPrivateUsage]
        told: dict[str, Message] = {}

        def ask(kind: str, number: int, questions: Mapping[str, bytes]) -> Mapping[str, bytes | BaseException]:
            answers = ask_in_turn(nodes)(kind, number, questions)
            told.update({n: decode(a) for n, a in answers.items() if isinstance(a, bytes) and kind == "train"})
            if kind == "train":
                assert {n: (m.body["steps"], m.body["planned"]) for n, m in told.items()} == {
                    "node-1": (4, 4),
                    "node-2": (3, 4),
                }
            return answers

        return ask

    model = train(plants(2, rows=64), 2, how=slow, node_seconds=2.5)
    assert [one["answered"] for one in model.rounds] == [["node-1", "node-2"]] * 2


def test_nodes_with_other_sensors_learn_together() -> None:
    """Each lacks a sensor; the global model reads all four, and is better than any that lacks one."""
    frames = {}
    for number in range(4):
        readings, classes = plant(number, 300)
        frame = pl.DataFrame(readings, schema=["a", "b", "c", "d"]).with_columns(
            label=pl.Series(classes).cast(pl.String)
        )
        frames[f"p{number}"] = frame.drop("abcd"[number])
    coordinator = FederatedLearningCoordinator(
        model=MODEL, training=TRAINING, data={"target": "label", "order": "none"}
    )
    model = coordinator.coordinate_training(frames, rounds=10)
    assert sorted(model.sensors) == ["a", "b", "c", "d"]
    readings, classes = unseen()
    ordered = readings[:, ["abcd".index(sensor) for sensor in model.sensors]]
    blind = np.where(np.array(model.sensors) == "a", np.nan, ordered)
    best_without_one = accuracy(model.predict(blind), classes)
    assert accuracy(model.predict(ordered), classes) > max(0.85, best_without_one + 0.02)


def test_a_node_does_not_vote_on_the_weights_of_sensors_it_lacks() -> None:
    readings, classes = plant(1, 200)
    with_x5 = np.concatenate([readings, readings[:, :1]], axis=1)
    frames = {
        "whole": pl.DataFrame(with_x5, schema=list("abcde")).with_columns(label=pl.Series(classes)),
        "part": pl.DataFrame(readings, schema=list("abcd")).with_columns(label=pl.Series(classes)),
    }
    told: dict[str, np.ndarray] = {}

    def listening(nodes: Mapping[str, Node]) -> Ask:
        def ask(kind: str, number: int, questions: Mapping[str, bytes]) -> Mapping[str, bytes | BaseException]:
            answers = ask_in_turn(nodes)(kind, number, questions)
            if kind == "train":
                told.update({n: decode(a).arrays["change"] for n, a in answers.items() if isinstance(a, bytes)})
            return answers

        return ask

    coordinator = FederatedLearningCoordinator(
        model=MODEL, training=TRAINING, data={"target": "label", "order": "none"}, task="classification"
    )
    model = coordinator.coordinate_training(frames, rounds=1, ask=listening)
    part = coordinator.nodes["whole"].part
    fresh, fifth = SharedPart(model.plan.fresh_network(), []).read(), part.sensor_P == 4
    assert fifth.sum() == 16
    moved = SharedPart(model.network, []).read() - fresh
    assert np.allclose(moved[fifth], told["whole"][fifth], atol=1e-6)
    assert not np.allclose(moved[~fifth], told["whole"][~fifth], atol=1e-6)


@pytest.mark.parametrize("federation", [{"personal": ["head"]}, {"units": {"kind": "personal"}}])
def test_what_is_personal_stays_with_its_node(federation: dict[str, Any]) -> None:
    """Each plant's readings have units of their own (FedBN), or its classes another order (FedPer)."""
    sources = []
    for number in range(3):
        readings, classes = plant(number, 200, shift=0.0)
        if "units" in federation:
            sources.append((readings * 10.0**number + 5 * number, classes))
        else:
            sources.append((readings, (classes + number) % 3))
    coordinator = FederatedLearningCoordinator(model=MODEL, training=TRAINING, federation=federation)
    model = coordinator.coordinate_training(sources, rounds=10)
    own = [
        accuracy(node.network(node.samples.inputs()).detach().numpy(), node.samples.targets_B.numpy())
        for node in coordinator.nodes.values()
    ]
    assert min(own) > 0.85
    heads = [node.network.head.weight for node in coordinator.nodes.values()]
    assert torch.equal(heads[0], heads[1]) == ("units" in federation)
    with pytest.raises(ValueError, match="what is personal stays with its node"):
        coordinator.save(model, "nowhere.onnx")


def test_norms_are_personal_where_asked() -> None:
    windows = np.random.default_rng(0).normal(size=(60, 5, 2)).astype(np.float32)
    sources = [(windows + shift, (windows.mean((1, 2)) > 0).astype(int)) for shift in (0.0, 3.0)]
    config = CnnConfig(channels=[4], hidden_units=[4])
    coordinator = FederatedLearningCoordinator(
        model=config, training=TRAINING, federation={"personal": ["norms"], "local_epochs": 1}
    )
    coordinator.coordinate_training(sources, rounds=2)
    norms, weights = zip(
        *(
            (n.network.trunk.convolutions.norms[0].running_mean, n.network.head.weight)
            for n in coordinator.nodes.values()
        ),
        strict=True,
    )  # pyright: ignore
    assert not torch.equal(*norms) and torch.equal(*weights)


def test_windows_and_values() -> None:
    rng = np.random.default_rng(0)
    sources = []
    for number in range(3):
        windows = (rng.normal(size=(150, 6, 2)) + number).astype(np.float32)
        sources.append((windows, (100 + 20 * windows[:, -1, 0]).astype(np.float64)))
    coordinator = FederatedLearningCoordinator(
        model=LstmConfig(units=12, hidden_units=[12], dropout=0.0), training=TRAINING
    )
    model = coordinator.coordinate_training(sources, rounds=8)
    error = model.predict(sources[1][0]) - sources[1][1]
    assert float(np.sqrt((error**2).mean())) < 8 < float(sources[1][1].std())


def test_what_was_learned_can_be_gone_on_from() -> None:
    sources = plants(3, rows=80)
    first = train(sources, rounds=2)
    coordinator = FederatedLearningCoordinator(model=MODEL, training=TRAINING)
    more = coordinator.coordinate_training(sources, rounds=1, start=first)
    assert more.rounds[0]["loss"] < first.rounds[0]["loss"]
    readings, classes = plant(0)
    few = classes < 2
    fewer = coordinator.coordinate_training([(readings[few, :2], classes[few])], rounds=1, start=first)
    assert (fewer.sensors, fewer.classes) == (first.sensors, first.classes), "what these nodes lack stays"
    with pytest.raises(ValueError, match="another network than the plan's"):
        coordinator.coordinate_training([(np.tile(readings, 2), classes)], rounds=1, start=first)


@pytest.mark.parametrize("secure", [False, True])
def test_a_coordinator_goes_on_from_its_state_and_nodes_answer_once(secure: bool) -> None:
    """After each phase everything is thrown away but the state of the last whole round and the answers since."""
    whole = train(plants(4, rows=40), 3, secure=secure)
    nodes = {
        name: Node(name, node_data(source))
        for name, source in zip(("node-1", "node-2", "node-3", "node-4"), plants(4, rows=40), strict=True)
    }
    config = FederatedLearningCoordinator(
        model=MODEL, training=TRAINING, federation={"secure": secure, "rounds": 3}
    )._federation  # pyright: ignore[reportPrivateUsage]
    make = lambda state: Coordinator("f", list(nodes), MODEL, TRAINING, config, b"s" * 32, None, state)  # noqa: E731
    coordinator, answers, kept = make(None), list[dict[str, bytes]](), b""
    done = 0
    while not coordinator.finished:
        answers.append({name: nodes[name].answer(m.encode()) for name, m in coordinator.ask.messages.items()})
        coordinator = make(State.from_bytes(kept) if kept else None)
        for phase in answers:
            for name, answer in phase.items():
                coordinator.receive(name, answer)
            coordinator.advance()
        if coordinator.state.round > done:
            done, kept, answers = coordinator.state.round, coordinator.state.to_bytes(), []
    assert coordinator.result is not None
    assert weights(coordinator.result) == weights(whole)


def test_a_node_answers_a_question_once_and_no_other_in_its_place() -> None:
    node = Node("node-1", node_data(plant(0, 40)))
    question = Message("join", "f", 0, "1", "node-1")
    assert node.answer(question.encode()) == node.answer(question.encode())
    with pytest.raises(ValueError, match="another question of the kind join was answered already"):
        node.answer(Message("join", "f", 0, "2", "node-1").encode())


def test_a_failing_training_is_a_lost_node() -> None:
    """One target is beyond what single precision can square."""
    rng = np.random.default_rng(0)
    broken = (rng.normal(size=(40, 4)), np.where(np.arange(40) == 3, 1e38, 1.0))
    fine = (rng.normal(size=(40, 4)), np.ones(40))
    units = {"kind": "given"}
    model = train([broken, fine, fine], rounds=2, units=units)
    assert [one["answered"] for one in model.rounds] == [["node-2", "node-3"]] * 2
    assert {one["reason"] for one in model.lost} == {"train: the loss of a node's training is not finite"}


def test_no_message_runs_code_or_brings_anything_down() -> None:
    coordinator = Coordinator(
        "f", ["a"], MODEL, TrainingConfig(), FederatedLearningCoordinator()._federation, b"s" * 32
    )  # pyright: ignore[reportPrivateUsage]
    good = coordinator.ask.messages["a"].answer({"sensors": ["x"], "task": "regression", "length": 1, "outputs": 1})
    for content in (b"", b"\0" * 7, b"\xff" * 64, good.encode()[:-3] + b"]]]", b"\x80\x04cos\nsystem\n"):
        with pytest.raises(RefusedError):
            coordinator.receive("a", content)
    for body in (
        {},
        {"sensors": ["x", "x"]},
        {"sensors": ["x"], "task": "guessing"},
        {**good.body, "length": math.pi * 0},
    ):
        with pytest.raises(RefusedError):
            coordinator.receive("a", coordinator.ask.messages["a"].answer(body).encode())
    with pytest.raises(RefusedError, match="nothing is asked of it"):
        coordinator.receive("b", good.encode())
    coordinator.receive("a", good.encode())
    with pytest.raises(RefusedError, match="nothing is asked of it"):
        coordinator.receive("a", good.encode())
