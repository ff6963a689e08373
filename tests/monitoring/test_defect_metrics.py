import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from monitoring.defect_metrics import report_defects


def test_precision_and_recall_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    labels = ["bubble", "chip", "crack", "ok"]
    truths = rng.choice(labels, 500, p=[0.1, 0.1, 0.1, 0.7]).tolist()
    said = [t if rng.random() < 0.8 else str(rng.choice(labels)) for t in truths]
    report = report_defects(truths, said)
    precision, recall, _, found = precision_recall_fscore_support(truths, said, labels=labels)
    assert report.labels == tuple(labels)
    for number, row in enumerate(report.scores):
        assert (row.precision, row.recall, row.found) == pytest.approx(
            (precision[number], recall[number], found[number])
        )
    wrong = sum(t != s for t, s in zip(truths, said, strict=True))
    assert report.cost == wrong, "a mistake costs 1 unless told"
    assert report.metrics()["recall.crack"] == pytest.approx(recall[2])


def test_costs_price_each_mistake() -> None:
    costs = {"crack": {"ok": 40.0}, "ok": {"crack": 0.5, "ok": 0.01}}
    report = report_defects(["crack", "crack", "ok", "ok"], ["ok", "crack", "crack", "ok"], costs)
    assert report.cost == pytest.approx(40.0 + 0.5 + 0.01)
    assert report.cost_per_item == pytest.approx(report.cost / 4)
    assert report.confusion_KK.tolist() == [[1, 1], [1, 1]]


def test_what_never_was_and_what_was_never_said_has_no_figure() -> None:
    report = report_defects(["ok", "ok"], ["ok", "chip"])
    chip = report.scores[0]
    assert (chip.found, chip.said, chip.precision, chip.recall) == (0, 1, 0.0, None)
    assert "recall.chip" not in report.metrics()


@pytest.mark.parametrize(
    ("truths", "said", "costs", "message"),
    [
        (["ok"], [], None, "1 truths and 0 guesses"),
        ([], [], None, "0 truths"),
        (["ok"], ["ok"], {"ok": {"stone": 1.0}}, "costs.ok.stone: 1.0 is no cost of one of ok"),
        (["ok"], ["ok"], {"ok": {"ok": -1.0}}, "-1.0 is no cost"),
        (["ok"], ["ok"], {"ok": {"ok": float("nan")}}, "costs.ok.ok: nan is no cost"),
        (["ok"], ["ok"], {"ok": {"ok": float("inf")}}, "costs.ok.ok: inf is no cost"),
        (["ok"], ["ok"], {"ok": {"ok": "dear"}}, "costs.ok.ok: 'dear' is no cost"),
    ],
)
def test_what_cannot_be_compared_is_refused(truths: list[str], said: list[str], costs: object, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        report_defects(truths, said, costs)  # type: ignore[arg-type]
    assert message in str(refused.value)
