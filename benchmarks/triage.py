"""What triage names on glass lines with planted events, and whether a faulty sensor's readings are ever learned from.

`python -m benchmarks.triage [--lines 25] [--faults 200] [--rows 600]`: for each cause so many lines of their own seeds;
every batch from the fourth on counts, those after a changed rule until the champion has learned it do not. Then planted
sensor faults of all kinds, with severities from .5 to 4 deviations, through watch, triage and decide, under triggers
that ask for learning at every batch; two batches later an update takes all that came since. Writes
benchmarks/out/triage.json and triage.png. The constants were chosen on other seeds.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import numpy as np
import polars as pl

from benchmarks.results import FOLDER, write_json
from data.config import DataConfig
from data.faults import FAULT_KINDS, FaultKind
from data.plans import Plan, draw_fault, draw_fault_plan, draw_plan
from data.schema import Schema, resolve_schema
from data.splits import split_rows
from data.synthetic import SENSORS, Truth, glass_line
from data.windows import classes_of, make_samples
from deployments.setting_aside import without_readings
from learning.candidate import Candidate
from learning.config import HalfLives, TrainingConfig
from learning.learn import bootstrap, update
from learning.plan import LearningPlan
from models.config import MlpConfig
from monitoring.causes import CAUSES, Losses, Readings, Triage
from monitoring.config import DriftConfig, DriftTrigger, PerformanceTrigger, RowsTrigger, TriggerConfig
from monitoring.drift import check_drift
from monitoring.performance import Predictions, row_losses, score
from monitoring.policies import Decision, Situation, decide
from monitoring.reference import make_reference, values_of
from monitoring.regimes import Regimes
from monitoring.triage import triage

FIRST_SEED = 10_000
LEARNED_BATCHES, FIRST_COUNTED = 3, 4
SEVERITIES = (0.5, 1.0, 2.0, 4.0)
WITHOUT_SEVERITY: tuple[FaultKind, ...] = ("stuck", "dead", "swapped")
DATA = DataConfig(target="defect", timestamp="time")
SCHEMA: Schema = resolve_schema(DATA, "classification", ["time", *SENSORS, "defect"])
TRIGGER = TriggerConfig(
    any=[DriftTrigger(kind="drift"), PerformanceTrigger(kind="performance"), RowsTrigger(kind="rows", count=1)]
)
IMPATIENT = TriggerConfig(any=[DriftTrigger(kind="drift"), PerformanceTrigger(kind="performance")])


@dataclass(frozen=True)
class Seen:
    """One batch: the truth, its rows as stored, what was named."""

    truth: Truth
    rows: pl.DataFrame
    triage: Triage


@dataclass(frozen=True)
class Champion:
    """A network trained on a line's first batches, and the classes it knows."""

    plan: LearningPlan
    candidate: Candidate
    classes: list[str]
    reference_rows: pl.DataFrame

    def predict(self, rows: pl.DataFrame) -> tuple[Predictions, np.ndarray]:
        """Predictions and the true classes' numbers."""
        samples = make_samples(rows, SCHEMA, 1, self.classes, keep_unknown=True)
        return self.candidate.served()(samples.inputs()).detach().numpy(), samples.targets_B.numpy()

    def losses(self, rows: pl.DataFrame) -> np.ndarray:
        """One for each row predicted wrong."""
        return row_losses("accuracy", *self.predict(rows))

    def losses_back(self, rows: pl.DataFrame, feature: int, move: float) -> np.ndarray:
        """The same if a sensor had read so much less."""
        return self.losses(rows.with_columns(pl.col(SCHEMA.features[feature]) - move))


def stored(frame: pl.DataFrame, number: int) -> pl.DataFrame:
    """A batch as the feature store would give it back."""
    return frame.with_columns(
        pl.col(list(SENSORS)).cast(pl.Float32),
        lehr_batch=pl.lit(number, pl.Int32),
        lehr_row=pl.int_range(1, frame.height + 1, dtype=pl.Int32),
        lehr_split=pl.Series(split_rows(frame.height, DATA, seed=number)),
    )


def train(rows: pl.DataFrame, seed: int) -> Champion:
    """A first champion from the training rows of some batches."""
    learned = rows.filter(pl.col("lehr_split") == "train")
    classes = classes_of(learned, SCHEMA) or []
    model = MlpConfig(hidden_units=[32, 16], dropout=0.0)
    plan = LearningPlan(model, TrainingConfig(epochs=30, seed=seed), HalfLives(), "classification", len(classes))
    return Champion(plan, bootstrap(plan, make_samples(learned, SCHEMA, 1, classes)), classes, rows)


def follow(plan: Plan, rows: int, seed: int) -> tuple[list[Seen], Champion]:
    """A line's batches, each triaged with the champion of its first three."""
    seen: list[Seen] = []
    regimes: Regimes | None = None
    champion: Champion | None = None
    for _, frame, truth in glass_line(0, rows, seed, plan):
        batch, losses = stored(frame, truth.batch), None
        if champion is not None:
            held_out = champion.reference_rows.filter(pl.col("lehr_split") == "holdout")
            losses = Losses(champion.losses(batch), champion.losses(held_out), partial(champion.losses_back, batch))
        values_NF = np.column_stack([values_of(batch[sensor]) for sensor in SCHEMA.features])
        found, regimes = triage(regimes, truth.batch, SCHEMA.features, values_NF, losses)
        seen.append(Seen(truth, batch, found))
        if truth.batch == LEARNED_BATCHES:
            champion = train(pl.concat([batch.rows for batch in seen]), seed)
    assert champion is not None, "a line is longer than what its champion learns from"
    return seen, champion


def confuse(lines: int, rows: int) -> dict[str, dict[str, int]]:
    """How often each planted cause was named as which."""
    counts: dict[str, Counter[str]] = {cause: Counter() for cause in CAUSES}
    for cause in CAUSES:
        for seed in range(FIRST_SEED, FIRST_SEED + lines):
            for batch in follow(draw_plan(cause, seed, later=0), rows, seed)[0]:
                if batch.truth.batch >= FIRST_COUNTED:
                    counts[batch.truth.cause][batch.triage.cause] += 1
        print(
            f"{cause:<13} " + "  ".join(f"{named} {counts[cause][named]}" for named in CAUSES if counts[cause][named])
        )
    return {truth: {named: counts[truth][named] for named in CAUSES} for truth in CAUSES}


def recalls(counts: dict[str, dict[str, int]]) -> dict[str, float]:
    """The share of each planted cause that was named."""
    return {cause: row[cause] / max(1, sum(row.values())) for cause, row in counts.items()}


def planted(faults: int) -> Iterator[tuple[FaultKind, float]]:
    """Kinds and severities in turn."""
    none = (0.0,) * len(SEVERITIES)
    kinds: list[tuple[FaultKind, float]] = [
        (kind, s) for kind in FAULT_KINDS for s in (none if kind in WITHOUT_SEVERITY else SEVERITIES)
    ]
    return (kinds[number % len(kinds)] for number in range(faults))


def decision_on(faulty: Seen, champion: Champion, trigger: TriggerConfig) -> Decision:
    """What the triggers make of the faulty batch, its drift and its score."""
    reference_rows = champion.reference_rows
    ends_B = np.arange(reference_rows.height)
    predictions, _ = champion.predict(reference_rows)
    reference = make_reference(reference_rows, SCHEMA, predictions, ends_B, None, faulty.rows.height)
    now, targets_B = champion.predict(faulty.rows)
    ends_B = np.arange(faulty.rows.height)
    drift, _ = check_drift(reference, None, faulty.rows, SCHEMA, now, ends_B, DriftConfig())
    held_out = reference_rows.filter(pl.col("lehr_split") == "holdout")
    moment = datetime(2026, 1, 5, tzinfo=UTC)
    situation = Situation(
        champion=1,
        drift=drift,
        metric="accuracy",
        score_then=score("accuracy", *champion.predict(held_out)),
        score_now=score("accuracy", now, targets_B),
        rows_since=faulty.rows.height,
        batches_since=2,
        now=moment,
        learned_at=moment,
        manual=None,
        unknown_classes=(),
        triage=faulty.triage,
    )
    return decide(trigger, situation)


def learned_readings(seen: Sequence[Seen], champion: Champion, faulty: Seen, sound: pl.DataFrame) -> int:
    """Wrong readings among those that an update two batches later learns from.

    sound: the faulty batch as its sensors would have read without the fault.
    """
    since = [batch for batch in seen if batch.truth.batch > LEARNED_BATCHES]
    set_aside = {batch.truth.batch: by_file(batch.triage.set_aside) for batch in since}
    rows = without_readings(pl.concat([batch.rows for batch in since]), SCHEMA.features, set_aside)
    learned = rows.filter(pl.col("lehr_split") == "train")
    updated = update(champion.plan, champion.candidate, make_samples(learned, SCHEMA, 1, champion.classes))
    assert updated.trained_through == since[-1].truth.batch
    beside = learned.filter(lehr_batch=faulty.truth.batch).join(sound, on="lehr_row", suffix="_sound")
    wrong = [(beside[sensor] != beside[f"{sensor}_sound"]).fill_null(False).sum() for sensor in faulty.truth.faulty]
    return int(sum(wrong))


def by_file(parts: Sequence[Readings]) -> tuple[Readings, ...]:
    """Rows counted from 1."""
    return tuple(Readings(part.feature, part.first + 1, part.last + 1) for part in parts)


def learn_from_faults(faults: int, rows: int) -> dict[str, dict[str, float]]:
    """By kind and severity: how many faults were named, answered by learning, and learned from."""
    found: dict[str, list[tuple[bool, bool, bool]]] = defaultdict(list)
    for number, (kind, severity) in enumerate(planted(faults)):
        seed = FIRST_SEED + 5_000 + number
        fault = draw_fault(kind, severity, np.random.default_rng((seed, 7)))
        plan = draw_fault_plan(fault, seed)
        seen, champion = follow(plan, rows, seed)
        faulty = next(batch for batch in seen if batch.truth.faults)
        repaired = list(glass_line(0, rows, seed, [replace(batch, faults=()) for batch in plan]))
        sound = stored(repaired[faulty.truth.batch - 1][1], faulty.truth.batch)
        aside = {part.feature for part in faulty.triage.set_aside}
        named = set(faulty.truth.faulty) <= aside
        answered = decision_on(faulty, champion, IMPATIENT).action != "none"
        learned = learned_readings(seen, champion, faulty, sound) > 0
        label = kind if kind in WITHOUT_SEVERITY else f"{kind} {severity:g}"
        found[label].append((named, answered, learned))
        said = f"named {named!s:<5} learned from {learned!s:<5} {faulty.triage.cause}"
        print(f"{number + 1:>3} {label:<12} {fault.sensor:<12} {said}")
    shares = {label: np.array(each).mean(0) for label, each in found.items()}
    return {
        label: {"faults": len(found[label]), "named": float(n), "answered": float(a), "learned from": float(k)}
        for label, (n, a, k) in shares.items()
    }


def draw(counts: dict[str, dict[str, int]], faults: dict[str, dict[str, float]]) -> None:
    """The confusion matrix, and the share of faults kept out by kind and severity."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    shares = np.array([[row[named] for named in CAUSES] for row in counts.values()], dtype=float)
    totals = shares.sum(1, keepdims=True)
    left.imshow(shares / np.maximum(1, totals), cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(shares):
        if count:
            left.text(
                j, i, f"{count:.0f}", ha="center", va="center", color="white" if count > totals[i, 0] / 2 else "black"
            )
    names = [cause.replace("_", " ") for cause in CAUSES]
    left.set_xticks(range(len(names)), names, rotation=30, ha="right")
    left.set_yticks(range(len(names)), names)
    left.set(xlabel="named", ylabel="planted")
    mean = float(np.mean(list(recalls(counts).values())))
    left.set_title(f"Causes named, batches; mean recall {mean:.2f}", loc="left", fontsize="medium")
    labels = list(faults)
    bars = right.barh(labels, [1 - faults[label]["learned from"] for label in labels], color="#1f6f8b")
    right.bar_label(bars, fmt="%.2f", padding=3)
    right.invert_yaxis()
    right.margins(x=0.12)
    right.spines[["top", "right"]].set_visible(False)
    right.set_title("Planted faults that nothing learned from, by severity", loc="left", fontsize="medium")
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / "triage.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=25)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--rows", type=int, default=600)
    options = parser.parse_args()
    counts = confuse(options.lines, options.rows)
    found = recalls(counts)
    print("recall  " + "  ".join(f"{cause} {share:.2f}" for cause, share in found.items()))
    print(f"macro-recall {np.mean(list(found.values())):.3f}")
    faults = learn_from_faults(options.faults, options.rows)
    for label, shares in faults.items():
        print(f"{label:<12} " + "  ".join(f"{key} {value:.2f}" for key, value in shares.items()))
    answered = sum(shares["answered"] * shares["faults"] for shares in faults.values())
    print(f"{answered:.0f} of {options.faults} faults were answered by learning")
    write_json("triage", {"rows": options.rows, "counts": counts, "recalls": found, "faults": faults})
    draw(counts, faults)


if __name__ == "__main__":
    main()
