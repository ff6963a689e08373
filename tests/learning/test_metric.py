from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from learning.keypoint_loss import keypoint_loss
from learning.metric import HierarchicalLoss, HierarchicalLossConfig
from learning.triplets import distances, nested_contrastive_loss, triplet_loss
from models.hierarchical import BEHIND, Representation, positions

ELEMENTS = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2])
SESSIONS = torch.tensor([0, 0, 1, 1, 0, 0, 1, 0])
EVERY_METRIC = ("triplets", "contrastive", "nested_contrastive", "factored_contrastive")


def embeddings(count: int = 8, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, 5, generator=generator)).requires_grad_()


def by_hand(embeddings_BE: Tensor, positive: str, negative: str, margin: float, miner: str) -> float:
    """The definition, triplet by triplet."""
    spans = [[float((a - b).norm()) for b in embeddings_BE.detach()] for a in embeddings_BE.detach()]
    found: dict[int, list[tuple[float, float]]] = {}
    for a, p, n in product(range(len(spans)), repeat=3):
        kinds = [_relation(a, p), _relation(a, n)]
        if a != p and (kinds[0] == positive or kinds[0] == "session") and kinds[1] == negative:
            found.setdefault(a, []).append((spans[a][p], spans[a][n]))
    if miner == "hard":
        found = {a: [(max(p for p, _ in pairs), min(n for _, n in pairs))] for a, pairs in found.items()}
    triplets = [pair for pairs in found.values() for pair in pairs]
    if miner == "semi_hard":
        triplets = [(p, n) for p, n in triplets if n > p]
    losses = [p - n + margin for p, n in triplets if p - n + margin > 0]
    return sum(losses) / max(1, len(losses))


def _relation(a: int, b: int) -> str:
    if ELEMENTS[a] != ELEMENTS[b]:
        return "other"
    return "session" if SESSIONS[a] == SESSIONS[b] else "element"


@pytest.mark.parametrize("miner", ["all", "semi_hard", "hard"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_both_triplet_losses_are_those_of_the_definition(miner: str, seed: int) -> None:
    config = HierarchicalLossConfig(metric="triplets", margin_session=0.4, margin_element=0.7, miner=miner)  # pyright: ignore
    embeddings_BE = embeddings(seed=seed)
    session, element = HierarchicalLoss(config).metric(embeddings_BE, ELEMENTS, SESSIONS)
    assert session.item() == pytest.approx(by_hand(embeddings_BE, "session", "element", 0.4, miner), abs=1e-5)
    assert element.item() == pytest.approx(by_hand(embeddings_BE, "element", "other", 0.7, miner), abs=1e-5)


def test_a_session_of_the_same_number_in_another_element_is_another_session() -> None:
    elements, sessions = torch.tensor([0, 1, 0, 1]), torch.tensor([5, 5, 6, 6])
    session, _ = HierarchicalLoss(HierarchicalLossConfig(metric="triplets")).metric(embeddings(4), elements, sessions)
    assert session.item() == 0.0


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_signals_that_coincide_and_levels_that_are_not_there_have_finite_gradients(metric: str) -> None:
    loss = HierarchicalLoss(HierarchicalLossConfig(metric=metric))  # pyright: ignore
    for elements in (torch.tensor([0, 0, 1, 1]), torch.zeros(4, dtype=torch.int64), torch.arange(4)):
        same_BE = embeddings(1).detach().repeat(4, 1).requires_grad_()
        sum(loss.metric(same_BE, elements, torch.zeros(4, dtype=torch.int64))).backward()  # pyright: ignore
        assert same_BE.grad is not None and same_BE.grad.isfinite().all()


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_descent_brings_elements_together_and_sessions_within_them(metric: str) -> None:
    torch.manual_seed(0)
    elements, sessions = torch.arange(4).repeat_interleave(6), torch.arange(2).repeat_interleave(3).repeat(4)
    free = torch.randn(24, 8, requires_grad=True)
    loss = HierarchicalLoss(HierarchicalLossConfig(metric=metric))  # pyright: ignore
    optimiser = torch.optim.Adam([free], lr=0.05)
    for _ in range(150):
        optimiser.zero_grad()
        sum(loss.metric(functional.normalize(free), elements, sessions)).backward()  # pyright: ignore
        optimiser.step()
    spans_BB = distances(functional.normalize(free.detach())) + 9 * torch.eye(24)
    nearest_B = spans_BB.argmin(1)
    assert (elements[nearest_B] == elements).all()
    if metric != "contrastive":
        assert (sessions[nearest_B] == sessions).all()


def test_a_pair_of_an_element_costs_no_less_than_the_worst_of_a_session() -> None:
    same_element_BB = (ELEMENTS[:, None] == ELEMENTS) & ~torch.eye(8, dtype=torch.bool)
    same_session_BB = same_element_BB & (SESSIONS[:, None] == SESSIONS)
    session, element = nested_contrastive_loss(embeddings(), same_session_BB, same_element_BB, 0.1)
    assert element >= session


def test_the_factored_loss_is_that_of_its_definition() -> None:
    embeddings_BE = embeddings()
    similar = (embeddings_BE.detach() @ embeddings_BE.detach().T / 0.1).double()
    found: dict[str, list[float]] = {"session": [], "element": []}
    for a in range(8):
        others = [b for b in range(8) if b != a]
        same_element = [b for b in others if _relation(a, b) != "other"]
        same_session = [b for b in others if _relation(a, b) == "session"]
        for level, positives, among in (("session", same_session, same_element), ("element", same_element, others)):
            if positives:
                losses = [similar[a, among].logsumexp(0) - similar[a, p] for p in positives]
                found[level].append(float(sum(losses)) / len(losses))
    config = HierarchicalLossConfig(metric="factored_contrastive", temperature=0.1)
    session, element = HierarchicalLoss(config).metric(embeddings_BE, ELEMENTS, SESSIONS)
    assert session.item() == pytest.approx(sum(found["session"]) / len(found["session"]), rel=1e-5)
    assert element.item() == pytest.approx(sum(found["element"]) / len(found["element"]), rel=1e-5)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), margin=st.floats(0.01, 1.0))
def test_a_larger_margin_never_costs_less_in_sum(seed: int, margin: float) -> None:
    spans_BB, same_BB = distances(embeddings(seed=seed)), ELEMENTS[:, None] == ELEMENTS
    less, more = (
        (spans_BB[:, :, None] - spans_BB[:, None] + m).relu()[same_BB[:, :, None] & ~same_BB[:, None]].sum()
        for m in (margin, margin + 0.1)
    )
    assert more >= less
    assert triplet_loss(spans_BB, same_BB, ~same_BB, 0.0, "semi_hard") == 0.0


def representation(logits_BLK: Tensor, offsets_BLK: Tensor | None = None) -> Representation:
    none = torch.zeros_like(logits_BLK) if offsets_BLK is None else offsets_BLK
    return Representation(embeddings(len(logits_BLK)), logits_BLK, none)


def test_descent_finds_keypoints_between_steps() -> None:
    torch.manual_seed(0)
    logits, offsets = torch.zeros(3, 10, 2, requires_grad=True), torch.zeros(3, 10, 2, requires_grad=True)
    truth = torch.tensor([[3.2, 30.0], [17.9, float("nan")], [0.0, 39.0]])
    optimiser = torch.optim.Adam([logits, offsets], lr=0.05)
    for _ in range(300):
        optimiser.zero_grad()
        keypoint_loss(representation(logits, offsets), truth, torch.ones(3, 2), 4, 2.0).backward()
        optimiser.step()
    known = ~truth.isnan()
    assert (positions(logits, offsets, 4) - truth)[known].abs().max() < 0.3
    assert logits.grad is not None and (logits.grad[1, :, 1] == 0).all()


@pytest.mark.parametrize("deviation", [0.0, 2.0])
def test_neither_missing_nor_unweighted_keypoints_nor_padding_count(deviation: float) -> None:
    torch.manual_seed(0)
    logits, truth, weights = torch.randn(2, 10, 2), torch.tensor([[3.0, 9.0], [30.0, 5.0]]), torch.ones(2, 2)
    plain = keypoint_loss(representation(logits), truth, weights, 4, deviation)
    behind = torch.cat([logits, torch.full((2, 3, 2), BEHIND)], dim=1)
    assert keypoint_loss(representation(behind), truth, weights, 4, deviation) == pytest.approx(plain)
    first = keypoint_loss(representation(logits[:1, :, :1]), truth[:1, :1], weights[:1, :1], 4, deviation)
    weights[0, 1] = weights[1] = 0.0
    assert keypoint_loss(representation(logits), truth, weights, 4, deviation) == pytest.approx(first)
    unknown = torch.full((2, 2), float("nan"))
    assert keypoint_loss(representation(logits), unknown, torch.ones(2, 2), 4, deviation) == 0.0


def test_without_smoothing_the_target_is_the_step_that_holds_the_keypoint() -> None:
    logits = torch.randn(1, 10, 1)
    loss = keypoint_loss(representation(logits), torch.tensor([[13.0]]), torch.ones(1, 1), 4, 0.0, offset_weight=0.0)
    assert loss == pytest.approx(functional.cross_entropy(logits[:, :, 0], torch.tensor([3])))


def test_what_a_session_counts_is_said_or_the_metrics_own() -> None:
    share = {metric: HierarchicalLossConfig(metric=metric).session_share for metric in EVERY_METRIC}  # pyright: ignore
    assert share == {**dict.fromkeys(EVERY_METRIC, 1.0), "factored_contrastive": 0.3}
    assert HierarchicalLossConfig(session_weight=0.5).session_share == 0.5


def test_settings_may_stand_in_the_call() -> None:
    assert HierarchicalLoss(lambda_metric=0.5).config == HierarchicalLossConfig(lambda_metric=0.5)
    with pytest.raises(ValueError, match="margin"):
        HierarchicalLoss(margin=0.5)
    with pytest.raises(ValueError, match="a configuration is given, so lambda_metric must stand in it"):
        HierarchicalLoss(HierarchicalLossConfig(), lambda_metric=0.5)


def test_the_whole_is_keypoints_and_lambda_times_both_levels() -> None:
    config = HierarchicalLossConfig(metric="triplets", lambda_metric=0.25)
    seen, truth = representation(torch.randn(8, 10, 1)), torch.arange(8.0)[:, None]
    losses = HierarchicalLoss(config)(seen, ELEMENTS, SESSIONS, truth, torch.ones(8, 1), 4)
    assert losses.total.item() == pytest.approx((losses.keypoint + 0.25 * (losses.session + losses.element)).item())
    alone = HierarchicalLoss(HierarchicalLossConfig(lambda_metric=0.0))(
        seen, ELEMENTS, SESSIONS, truth, torch.ones(8, 1), 4
    )
    assert alone.total == alone.keypoint and alone.element == 0.0
    without = representation(torch.randn(8, 10, 0))
    assert HierarchicalLoss(config)(without, ELEMENTS, SESSIONS, truth[:, :0], torch.ones(8, 0), 4).keypoint == 0.0
