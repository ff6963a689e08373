"""The report of a run as one HTML page that needs nothing but a browser."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitoring.causes import cause_in_words
from monitoring.performance import LOWER_IS_BETTER, SHARES, AnyMetric, gain
from monitoring.plots import (
    ACTIONS,
    LINES,
    MOST_CHANNELS,
    MUTED,
    Record,
    action_of,
    count_channels,
    is_share,
    metric_value,
    plot_costs,
    plot_drift,
    plot_scores,
)
from monitoring.rendering import render_page
from monitoring.sight import sight_of
from monitoring.terminal import labels_text, unit_of

SUMMARY_KEYS = {"score_before": "score"}
OWN_LINES = ("score_before", "score_estimated")
CLOSE = 0.02
METRIC_NAMES: Mapping[AnyMetric, str] = {
    "rmse": "RMSE",
    "mae": "MAE",
    "macro_f1": "macro F1",
    "element_recall_at_1": "Recall@1 of elements",
    "element_map_at_r": "MAP@R of elements",
    "session_recall_at_1": "Recall@1 of sessions",
    "session_map_at_r": "MAP@R of sessions",
    "keypoint_mae": "mean absolute error of keypoints in samples",
    "keypoint_median": "median absolute error of keypoints in samples",
    "keypoint_p90": "absolute error that nine keypoints in ten stay under, in samples",
}


def write_page(report: Mapping[str, Any], path: Path) -> None:
    """Write the page of a report: headline figures, scores, drift, decisions and cost.

    report: what `lehr run --report` writes. Drift pages that it names are linked by their place relative to the page.
    """
    render_page("report.html", page_view(report), path)


def page_view(report: Mapping[str, Any]) -> dict[str, Any]:
    """All that the page's template shows, as text and plots."""
    records = [r for r in report["batches"] if r["status"] != "duplicate"]
    scores = Scores(report["metric"], _means(report))
    return {
        "pipeline": report["pipeline"],
        "task": report["task"],
        "unit": unit_of(report["task"]),
        "metric": scores.name,
        "better": "lower is better" if report["metric"] in LOWER_IS_BETTER else "higher is better",
        "lede": _lede(records, report, scores),
        "cards": [*_score_cards(scores), _cost_card(report["summary"]), *_count_cards(records, report)],
        "scores": plot_scores(records, scores.metric, scores.shown) if scores.means else None,
        "drift": plot_drift(records) if records else None,
        "drift_note": _drift_note(records),
        "drift_sight": sight_of(records),
        "costs": plot_costs(records) if sum(r["cost"]["samples"] > 0 for r in records) > 1 else None,
        "actions": {action: colour for action, colour in ACTIONS.items() if action in map(action_of, records)},
        "rows": [_row(record, scores) for record in report["batches"]],
        "compared": [(key, LINES[key][0]) for key in reversed(LINES) if key in scores.means and key not in OWN_LINES],
    }


@dataclass(frozen=True)
class Scores:
    """How scores of one metric are written. means: mean score by the key of its line."""

    metric: AnyMetric
    means: Mapping[str, float]

    @property
    def name(self) -> str:
        """The metric as it is spoken of."""
        return METRIC_NAMES.get(self.metric, self.metric.replace("_", " "))

    @property
    def shown(self) -> dict[str, str]:
        """The means as text."""
        return {key: self.show(mean) for key, mean in self.means.items()}

    def show(self, score: float | None) -> str:
        """A score as a percentage or with three digits; a dash for none."""
        if score is None:
            return "–"
        return f"{100 * score:.1f}%" if is_share(self.metric) else f"{score:.3g}"

    def compare(self, new: float, old: float) -> str:
        """How a score differs from another: in points, for errors as a share."""
        difference = new - old
        if is_share(self.metric):
            return f"{_signed(f'{100 * difference:+.1f}')} points"
        if self.metric in SHARES and old > 0:
            return f"{_signed(f'{100 * difference / old:+.1f}')}%"
        return _signed(f"{difference:+.3g}")

    def tone(self, new: float, old: float) -> str:
        """good: not worse; bad: worse by more than two points, or 2 % of an error; empty between."""
        gained = gain(self.metric, new, old)
        return "good" if gained >= 0 else "bad" if gained < -CLOSE else ""


def _means(report: Mapping[str, Any]) -> dict[str, float]:
    summary = report["summary"]
    means = {key: metric_value(summary.get(SUMMARY_KEYS.get(key, key)), report["metric"]) for key in LINES}
    return {key: mean for key, mean in means.items() if mean is not None}


def _lede(records: Sequence[Record], report: Mapping[str, Any], scores: Scores) -> str:
    batches = report["batches"]
    if not records:
        return f"{_plural(len(batches), 'batch', 'batches')} came, all seen before: nothing was changed."
    refused = sum(r["status"] == "quarantined" for r in records)
    promotions, champion = sum(bool(r.get("promoted")) for r in records), batches[-1].get("champion")
    sentences = [
        f"{_plural(len(records), 'batch', 'batches')} came; {refused or 'none'} {'were' if refused > 1 else 'was'} "
        f"quarantined, and {_plural(promotions, 'version', 'versions')} went into production.",
        f"Version {champion} serves now." if champion else "There is no champion yet.",
    ]
    loop, static = scores.means.get("score_before"), scores.means.get("score_static")
    if loop is not None and static is not None:
        side = "better" if scores.tone(loop, static) == "good" else "worse"
        difference = scores.compare(loop, static).lstrip("+−")
        sentences.append(f"Always learning, the loop is {difference} {side} than the first champion left alone.")
    return " ".join(sentences)


def _score_cards(scores: Scores) -> list[dict[str, str]]:
    loop = scores.means.get("score_before")
    if loop is None:
        return [_card(f"mean {scores.name}", "–", "no champion has scored a batch yet")]
    cards = [_card(f"mean {scores.name}", scores.show(loop), "each batch scored before anything learned from it")]
    for key in ("score_static", "score_retrained", "score_sliding", "score_no_change"):
        if (other := scores.means.get(key)) is not None:
            tone = scores.tone(loop, other)
            cards.append(
                _card(
                    f"against {LINES[key][0]}", scores.compare(loop, other), f"its mean is {scores.show(other)}", tone
                )
            )
    return cards


def _cost_card(summary: Mapping[str, Any]) -> dict[str, str]:
    cost, retrained = summary["cost"], summary.get("cost_retrained")
    if not retrained:
        return _card("cost of learning", f"{_short(cost['samples'])}", f"samples, {cost['seconds']:,.1f} s")
    share = f"{100 * cost['samples'] / retrained['samples']:.0f}%"
    detail = f"{_short(cost['samples'])} samples, cumulative retrain {_short(retrained['samples'])}"
    return _card("cost of learning", share, detail)


def _count_cards(records: Sequence[Record], report: Mapping[str, Any]) -> list[dict[str, str]]:
    judged = [r for r in records if r.get("gate")]
    promoted, refused = sum(bool(r.get("promoted")) for r in records), sum(not r["gate"]["passed"] for r in judged)
    quarantined = sum(r["status"] == "quarantined" for r in records)
    duplicates = len(report["batches"]) - len(records)
    arrived = f"{quarantined} quarantined" + (
        f", {_plural(duplicates, 'duplicate', 'duplicates')}" if duplicates else ""
    )
    return [
        _card("promotions", str(promoted), f"{_plural(refused, 'candidate', 'candidates')} refused by the gate"),
        _card("batches", str(len(records)), arrived),
    ]


def _drift_note(records: Sequence[Record]) -> str:
    channels = count_channels(records)
    return f"The {MOST_CHANNELS} of {channels} that moved most." if channels > MOST_CHANNELS else ""


def _row(record: Record, scores: Scores) -> dict[str, Any]:
    gate, decision = record.get("gate"), record.get("decision")
    reasons = {"duplicate": "Seen before; nothing changed.", "quarantined": record.get("reason") or "Refused whole."}
    accepted = decision["reason"] if decision else "Nothing was decided."
    return {
        "batch": record["batch"],
        "name": record.get("name") or record["id"][:12],
        "id": record["id"],
        "status": record["status"],
        "rows": f"{record['rows']:,}" if record["rows"] else "",
        "rows_quarantined": f"{record['rows_quarantined']:,}" if record["rows_quarantined"] and decision else "",
        "action": action_of(record),
        "colour": ACTIONS.get(action_of(record), MUTED),
        "decided": decision["action"] if decision else "",
        "reason": reasons.get(record["status"], accepted),
        "revoked": _revoked(record.get("revoked")) or (record.get("rivalry") or {}).get("ended") or "",
        "triage": _triage(record.get("triage")),
        "score": _score(record, scores),
        "labels": labels_text(record) if record.get("labels") else "",
        "confirmed": _confirmed(record.get("confirmed")),
        "others": {key: scores.show(metric_value(record.get(key), scores.metric)) for key in LINES},
        "verdict": "" if gate is None else "passed" if gate["passed"] else "refused",
        "checks": [_check(check) for check in gate["checks"]] if gate else [],
        "warnings": record.get("warnings") or [],
        "drift_page": record.get("drift_page"),
        "champion": f"v{record['champion']}" if record.get("champion") else "–",
        "promoted": bool(record.get("promoted")),
        "samples": _short(record["cost"]["samples"]),
        "seconds": f"{record['cost']['seconds']:.1f} s",
    }


def _score(record: Record, scores: Scores) -> str:
    """The score, or what it is estimated to be until the labels come."""
    if record.get("score_estimated") is not None:
        return f"≈ {scores.show(record['score_estimated'])}"
    return scores.show(metric_value(record.get("score_before"), scores.metric))


def _confirmed(confirmed: Mapping[str, Any] | None) -> str:
    """That the labels bear out a promotion that rested on an estimate."""
    if confirmed is None or not confirmed["passed"]:
        return ""
    return f"Version {confirmed['version']}, promoted on an estimate, is confirmed by the labels."


def _revoked(revoked: Mapping[str, Any] | None) -> str:
    """That a version was taken back before this batch was learned from, and on which evidence."""
    if revoked is None:
        return ""
    back, again = revoked["version"], revoked["champion"]
    return f"Version {back} was taken back, version {again} serves again: {revoked['reason']}"


def _triage(triage: Mapping[str, Any] | None) -> dict[str, str]:
    """What happened to the batch, where anything did, and which readings are set aside."""
    if triage is None or (triage["cause"] == "none" and not triage["also"]):
        return {}
    sensors = ", ".join(dict.fromkeys(part["feature"] for part in triage["set_aside"]))
    aside = (
        f"Readings of {sensors} are set aside: nothing learns from them until a person releases them."
        if sensors
        else ""
    )
    return {"cause": cause_in_words(triage), "reason": triage["reason"], "aside": aside}


def _check(check: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": check["name"].replace("_", " "),
        "value": _digits(check["value"]),
        "limit": _digits(check["limit"]),
        "passed": check["passed"],
        "text": check.get("text", "").removeprefix(f"{check['name']}: "),
    }


def _card(name: str, value: str, detail: str, tone: str = "") -> dict[str, str]:
    return {"name": name, "value": value, "detail": detail, "tone": tone}


def _digits(value: float | None) -> str:
    return "–" if value is None else _signed(f"{value:.3g}")


def _signed(number: str) -> str:
    return number.replace("-", "−")


def _short(samples: int) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if samples >= 10 * size:
            return f"{samples / size:,.0f} {unit}"
        if samples >= size:
            return f"{samples / size:.1f} {unit}"
    return str(samples)


def _plural(count: int, one: str, many: str) -> str:
    return f"{count or 'no'} {one if count == 1 else many}"
