import pytest
import torch
from torch.optim import lr_scheduler

from learning.schedules import (
    Constant,
    Cosine,
    CosineWarmRestarts,
    Linear,
    OneCycle,
    Plateau,
    ScheduleConfig,
    Step,
    epoch_rates,
)

PEAK, EPOCHS, STEPS = 0.01, 40, 7
LOSSES = [1 / (1 + min(epoch, 6)) + 0.01 * (epoch % 3) for epoch in range(EPOCHS)]


def our_rates(schedule: ScheduleConfig) -> list[list[float]]:
    return [epoch_rates(schedule, PEAK, epoch, EPOCHS, STEPS, LOSSES[: epoch - 1]) for epoch in range(1, EPOCHS + 1)]


def optimiser() -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)


@pytest.mark.parametrize(
    ("ours", "make"),
    [
        (Step(step_size=9, gamma=0.3), lambda o: lr_scheduler.StepLR(o, 9, 0.3)),
        (Plateau(patience=4, factor=0.5), lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=4, factor=0.5)),
        (Cosine(eta_min=0.001), lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS, 0.001)),
        (CosineWarmRestarts(T_0=5), lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5, 2)),
        (Constant(), lambda o: lr_scheduler.LambdaLR(o, lambda _: 1.0)),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_epoch_by_epoch_it_is_torchs(ours: ScheduleConfig, make) -> None:  # pyright: ignore
    driven = optimiser()
    theirs = make(driven)
    for rates, loss in zip(our_rates(ours), LOSSES, strict=True):
        assert rates == pytest.approx([driven.param_groups[0]["lr"]] * STEPS, rel=1e-9)
        driven.step()
        theirs.step(*([loss] if ours.kind == "plateau" else []))


def test_step_by_step_one_cycle_is_torchs() -> None:
    driven = optimiser()
    theirs = lr_scheduler.OneCycleLR(driven, PEAK, EPOCHS * STEPS, cycle_momentum=False)
    for i, rate in enumerate(rate for rates in our_rates(OneCycle()) for rate in rates):
        assert rate == pytest.approx(driven.param_groups[0]["lr"], rel=1e-9), i
        driven.step()
        if i < EPOCHS * STEPS - 1:
            theirs.step()


def test_linear_warms_up_and_falls_to_a_twentieth() -> None:
    rates = [rate for rates in our_rates(Linear()) for rate in rates]
    assert rates[0] == pytest.approx(0.2 * PEAK)
    assert max(rates) > 0.95 * PEAK
    assert 0.05 * PEAK <= rates[-1] < 0.06 * PEAK


def test_a_cosine_stays_down() -> None:
    short = Cosine(T_max=10, eta_min=0.001)
    assert our_rates(short)[10][0] == pytest.approx(0.001)
    assert our_rates(short)[-1][0] == pytest.approx(0.001)


def test_a_peak_below_eta_min_is_kept() -> None:
    assert epoch_rates(Cosine(), 1e-5, 7, 9, 1, ()) == pytest.approx([1e-5])
