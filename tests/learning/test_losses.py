import pytest
import torch
from torch.nn import functional

from learning.losses import CrossEntropy, Focal, Huber, LossConfig, Quantile, SquaredError, make_loss

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(9, 1, 3, generator=GENERATOR)
CLASSES = torch.randint(0, 3, (9,), generator=GENERATOR)
VALUES, TRUE = torch.randn(9, 1, 2, generator=GENERATOR), torch.randn(9, 2, generator=GENERATOR)
WEIGHTS = torch.tensor([1.0, 2.0, 5.0])
FOR_CLASSES: list[LossConfig] = [CrossEntropy(), CrossEntropy(label_smoothing=0.1), Focal(), Focal(label_smoothing=0.1)]
FOR_VALUES: list[LossConfig] = [SquaredError(), Huber(), Quantile(level=0.9)]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_torchs_and_focal_without_gamma_too(smoothing: float, weights: torch.Tensor | None) -> None:
    theirs = functional.cross_entropy(LOGITS[:, 0], CLASSES, weights, label_smoothing=smoothing)
    ours = make_loss(CrossEntropy(label_smoothing=smoothing), "classification", weights)(LOGITS, CLASSES, None)
    assert torch.equal(ours, theirs)
    if smoothing == 0:
        focal = make_loss(Focal(gamma=0.0), "classification", weights)(LOGITS, CLASSES, None)
        assert torch.allclose(focal, theirs)


def test_focal_weighs_each_sample_by_how_wrong_it_is() -> None:
    p_B = LOGITS[:, 0].softmax(1)[torch.arange(9), CLASSES]
    expected = (-((1 - p_B) ** 2.5) * p_B.log()).mean()
    assert torch.allclose(make_loss(Focal(), "classification")(LOGITS, CLASSES, None), expected)


def test_values_are_torchs() -> None:
    outputs = VALUES[:, 0]
    assert torch.equal(make_loss(None, "regression")(VALUES, TRUE, None), functional.mse_loss(outputs, TRUE))
    huber = make_loss(Huber(delta=0.5), "regression")(VALUES, TRUE, None)
    assert torch.equal(huber, functional.huber_loss(outputs, TRUE, delta=0.5))
    single = make_loss(None, "regression")(VALUES[:, :, :1], TRUE[:, 0], None)
    assert torch.equal(single, functional.mse_loss(outputs[:, 0], TRUE[:, 0]))


def test_a_quantile_is_where_its_loss_is_least() -> None:
    values_B = torch.randn(2_001, generator=GENERATOR)
    loss = make_loss(Quantile(level=0.8), "regression")
    grid = torch.linspace(-2, 2, 401)
    losses = [loss(guess.expand(2_001, 1, 1), values_B, None).item() for guess in grid]
    assert grid[losses.index(min(losses))].item() == pytest.approx(values_B.quantile(0.8).item(), abs=0.02)


@pytest.mark.parametrize("config", [*FOR_CLASSES, *FOR_VALUES], ids=lambda c: c.kind)
def test_equal_shares_are_no_shares_and_a_head_sees_its_own(config: LossConfig) -> None:
    task, outputs, targets = (
        ("classification", LOGITS, CLASSES) if config in FOR_CLASSES else ("regression", VALUES, TRUE)
    )
    loss = make_loss(config, task)  # pyright: ignore[reportArgumentType]
    plain = loss(outputs, targets, None)
    assert torch.allclose(loss(outputs, targets, torch.ones(9, 1)), plain)
    two = torch.cat([outputs, outputs + 1.0 * torch.arange(outputs.shape[2])], dim=1)
    only_first = torch.tensor([2.0, 0.0]).expand(9, 2)
    assert torch.allclose(loss(two, targets, only_first), plain)


@pytest.mark.parametrize("config", [*FOR_CLASSES, *FOR_VALUES], ids=lambda c: c.kind)
def test_gradients_stay_finite_where_outputs_are_extreme(config: LossConfig) -> None:
    task, targets = ("classification", torch.tensor([0, 1])) if config in FOR_CLASSES else ("regression", TRUE[:2, :1])
    width = 2 if task == "classification" else 1
    outputs = torch.tensor([[60.0, -60.0], [60.0, -60.0]])[:, :width].reshape(2, 1, width).requires_grad_()
    make_loss(config, task)(outputs, targets, None).backward()  # pyright: ignore[reportArgumentType]
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()


def test_a_loss_that_does_not_fit_is_refused() -> None:
    with pytest.raises(
        ValueError, match="the loss huber does not fit classification; allowed are cross_entropy, focal"
    ):
        make_loss(Huber(), "classification")
    with pytest.raises(ValueError, match="class weights"):
        make_loss(None, "regression", WEIGHTS)
