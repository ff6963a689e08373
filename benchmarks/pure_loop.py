"""The loop over one synthetic line as pure functions: no orchestrator, no ledger, no files.

A delivery goes through what the flow calls: validation, triage, setting aside, learning, the gate. An update is asked
for whatever the triggers would say, and the ladder climbed from there as the flow climbs it. Candidates are not
exported one by one: the figures of the file (latency, size, parity) are the champion's, whose shape they have.
Shapes: B samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import polars as pl

from data.config import DataConfig
from data.samples import Samples, join_samples
from data.scenario import LINE_SENSORS, Scenario
from data.schema import Schema, resolve_schema
from data.splits import mark_rows
from data.stream import line_batches
from data.suite import infer_suite
from data.validation import suspect_sensors, validate
from data.windows import last_rows, make_samples
from deployments import gate
from deployments.export import check_parity, export
from deployments.ladder import Rung, next_rung
from deployments.leaks import batches_of_twins, count_learned
from deployments.pipeline import GateConfig
from deployments.scoring import NetworkModel, OnnxModel
from deployments.setting_aside import without_readings
from deployments.verdict import Judged, Verdict
from learning.blend import relevance
from learning.candidate import Candidate
from learning.config import HalfLives, TrainingConfig
from learning.learn import bootstrap, retrain, update
from learning.plan import LearningPlan
from models.config import MlpConfig
from monitoring.causes import Losses, Readings, Triage
from monitoring.performance import Predictions, row_losses, score
from monitoring.reference import values_of
from monitoring.regimes import Regimes
from monitoring.triage import triage
from monitoring.wager import Wager

ROWS, LEARNED, LATER = 500, 4, 10
"""Rows a batch; batches that the champion learned from; those after it, of which each can be the next."""
TRUTH_ROWS = 4000
PROBATION = 50
"""Batches for which the predecessor goes on scoring beside a promoted version, as the gate has it by default."""
DATA = DataConfig(target="defect", timestamp="time")
SCHEMA: Schema = resolve_schema(DATA, "classification", ["time", *LINE_SENSORS, "defect"])
THRESHOLD = 0.5
GATE = GateConfig(threshold=THRESHOLD)
MAX_QUARANTINED_SHARE = 0.2


@dataclass(frozen=True)
class Answer:
    """What the loop made of a delivery. promoted: the candidate that went live; None: the champion stays.

    after: the scene that the next delivery finds where the champion stays and learns from this one all the same.
    """

    promoted: Candidate | None
    stopped_by: str
    after: "Scene | None" = None


@dataclass(frozen=True)
class Scene:
    """A line whose champion has learned from the first batches; the next one can be any of those after.

    lineage: what learning goes on from, the newest version, refused or not. seen: batches so far; learned: their rows.
    truth: rows long after, as they really were.
    """

    scenario: Scenario
    suite: Mapping[str, Any]
    regimes: Regimes
    plan: LearningPlan
    champion: Candidate
    lineage: Candidate
    seen: int
    classes: list[str]
    learned: pl.DataFrame
    truth: Samples
    figures: Mapping[str, float]

    def delivery(self, number: int, scenario: Scenario | None = None) -> pl.DataFrame:
        """The line's batch of that number; scenario: with what happens there instead."""
        batches = line_batches(self.scenario if scenario is None else scenario, ROWS)
        return next(islice(batches, number - 1, None)).rows

    def take(self, delivery: pl.DataFrame) -> Answer:
        """The next delivery through the whole loop."""
        report = validate(delivery, SCHEMA, self.suite, MAX_QUARANTINED_SHARE, 1)
        if report.refusal is not None:
            return Answer(None, "validation")
        sound = [row for row in range(delivery.height) if row not in report.reasons]
        marked = mark(delivery[sound], self.seen + 1)
        named, regimes = self._triage(marked, suspect_sensors(report, SCHEMA.features))
        aside = tuple(Readings(part.feature, part.first + 1, part.last + 1) for part in named.set_aside)
        kept = without_readings(marked, SCHEMA.features, {self.seen + 1: aside})
        promoted, stopped_by, lineage = self._climb(kept)
        learned = pl.concat([self.learned, kept])
        after = replace(self, regimes=regimes, lineage=lineage, seen=self.seen + 1, learned=learned)
        return Answer(promoted, stopped_by, None if promoted else after)

    def learn(self, rows: pl.DataFrame, rung: Rung = "update") -> Candidate:
        """A candidate of the new batch's rows; raises ValueError where there are none to learn from."""
        learned = self._samples(rows.filter(pl.col("lehr_split") == "train"))
        if rung == "retrain":
            history = join_samples([self._samples(self.learned.filter(pl.col("lehr_split") == "train")), learned])
            return retrain(self.plan, self.lineage, history)
        return update(self.plan, self.lineage, learned)

    def _climb(self, rows: pl.DataFrame) -> tuple[Candidate | None, str, Candidate]:
        """What went live, if anything, what stopped the last candidate, and the newest version."""
        if rows.filter(pl.col("lehr_split") == "train")["defect"].drop_nulls().is_empty():
            return None, "nothing to learn from", self.lineage
        tried: list[Rung] = []
        refused, candidate = "", self.lineage
        holds = 1 - self._losses(rows.filter(pl.col("lehr_split") == "holdout")).mean() >= THRESHOLD
        while (rung := next_rung("update", tuple(tried), bool(holds))) is not None:
            tried.append(rung)
            candidate = self.learn(rows, rung)
            verdict = self.judge(candidate, rows)
            if verdict.passed:
                return candidate, "promoted", candidate
            refused = ", ".join(check.name for check in verdict.checks if not check.passed)
        return None, refused, candidate

    def judge(self, candidate: Candidate, rows: pl.DataFrame) -> Verdict:
        """Hold a candidate against the champion on all held-out rows, those of the new batch among them."""
        everything = pl.concat([self.learned, rows])
        of_split = {split: everything.filter(pl.col("lehr_split") == split) for split in ("train", "holdout")}
        held_out = make_samples(of_split["holdout"], SCHEMA, 1, self.classes, keep_unknown=True)
        batches_B, trained = held_out.batches_B.numpy(), self._samples(of_split["train"])
        twins = batches_of_twins(candidate.memory.samples, held_out)
        suspects = [trained.take((trained.batches_B == number).nonzero().flatten()) for number in twins]
        evidence = Judged(
            targets_B=held_out.targets_B.numpy(),
            batches_B=batches_B,
            relevance_B=relevance(self.seen + 1 - batches_B, candidate.evidence.weights()),
            before_B=relevance(self.seen + 1 - batches_B, self.champion.evidence.weights()),
            readings_BC=last_rows(held_out),
            features=SCHEMA.features,
            groups_B=None,
            group=None,
            classes=tuple(self.classes),
            previous_B=None,
            candidate=predictions_of(candidate, held_out),
            champion=predictions_of(self.champion, held_out),
            champion_through=self.champion.trained_through,
            trained_T=trained.targets_B.numpy(),
            holdouts_learned=count_learned(candidate.memory.samples, join_samples(suspects), held_out) if twins else 0,
            seed=0,
            **self.figures,
        )
        return gate.judge(GATE, "accuracy", evidence)

    def lost(self, candidate: Candidate) -> dict[str, float]:
        """Points of accuracy that a candidate has less than the champion on rows as they really were."""
        before, after = (
            score("accuracy", predictions_of(c, self.truth), self.truth.targets_B.numpy())
            for c in (self.champion, candidate)
        )
        return {"accuracy": before - after}

    def taken_back_after(self, candidate: Candidate, number: int) -> int | None:
        """Sound batches after that one until the champion has proven to be better and serves again; None: never.

        Neither learns meanwhile, which is the slowest case.
        """
        wager = Wager()
        later = islice(line_batches(self.scenario, ROWS), number, number + PROBATION)
        for waited, batch in enumerate(later, start=1):
            samples = make_samples(mark(batch.rows, batch.number), SCHEMA, 1, self.classes, keep_unknown=True)
            targets_B = samples.targets_B.numpy()
            before, after = (
                row_losses("accuracy", predictions_of(c, samples), targets_B) for c in (self.champion, candidate)
            )
            wager = wager.observe(after - before, worst=1.0)
            if wager.proven:
                return waited
        return None

    def _samples(self, rows: pl.DataFrame) -> Samples:
        return make_samples(rows, SCHEMA, 1, self.classes)

    def _triage(self, rows: pl.DataFrame, suspects: tuple[str, ...]) -> tuple[Triage, Regimes]:
        known = pl.col("lehr_batch") <= self.champion.trained_through
        held_out = self.learned.filter(known & (pl.col("lehr_split") == "holdout"))
        losses = Losses(self._losses(rows), self._losses(held_out), partial(self._losses_back, rows))
        return triage(self.regimes, self.seen + 1, SCHEMA.features, values(rows), losses, suspects)

    def _losses(self, rows: pl.DataFrame) -> np.ndarray:
        samples = make_samples(rows, SCHEMA, 1, self.classes, keep_unknown=True)
        return row_losses("accuracy", predictions_of(self.champion, samples), samples.targets_B.numpy())

    def _losses_back(self, rows: pl.DataFrame, feature: int, move: float) -> np.ndarray:
        return self._losses(rows.with_columns(pl.col(SCHEMA.features[feature]) - move))


def open_scene(seed: int) -> Scene:
    """A line of this seed, its champion trained on three batches and updated with a fourth."""
    scenario = Scenario(name=f"line {seed}", seed=seed)
    batches = list(islice(line_batches(scenario, ROWS), LEARNED))
    marked = [mark(batch.rows, batch.number) for batch in batches]
    regimes: Regimes | None = None
    for number, rows in enumerate(marked, start=1):
        _, regimes = triage(regimes, number, SCHEMA.features, values(rows), None)
    assert regimes is not None, "there are batches"
    classes = sorted(scenario.labels)
    model, training = MlpConfig(hidden_units=[32, 16], dropout=0.0), TrainingConfig(epochs=40, seed=seed)
    plan = LearningPlan(model, training, HalfLives(), "classification", len(classes))
    parts = [make_samples(r.filter(pl.col("lehr_split") == "train"), SCHEMA, 1, classes) for r in marked]
    champion = update(plan, bootstrap(plan, join_samples(parts[:-1])), parts[-1])
    suite = infer_suite(batches[0].rows, SCHEMA)
    truth = truth_of(scenario, classes)
    return Scene(
        scenario,
        suite,
        regimes,
        plan,
        champion,
        champion,
        LEARNED,
        classes,
        pl.concat(marked),
        truth,
        figures_of(champion, seed),
    )


def mark(delivery: pl.DataFrame, number: int) -> pl.DataFrame:
    """A batch's rows as the feature store would give them back."""
    numbered = delivery.with_columns(lehr_row=pl.int_range(1, delivery.height + 1, dtype=pl.Int32))
    return mark_rows(numbered, DATA, number)


def values(rows: pl.DataFrame) -> np.ndarray:
    """The readings, a row each, NaN where one is missing."""
    return np.column_stack([values_of(rows[sensor]) for sensor in SCHEMA.features])


def predictions_of(candidate: Candidate, samples: Samples) -> Predictions:
    """What the network that would be served says."""
    return NetworkModel(candidate.served()).predict_samples(samples)


def truth_of(scenario: Scenario, classes: list[str]) -> Samples:
    """Rows after all that any batch holds, with the defects that they really have."""
    first = (LEARNED + LATER + 1) * ROWS
    batch = next(line_batches(scenario, first + TRUTH_ROWS))
    rows = batch.rows.with_columns(batch.truth["defect"])[first:]
    return make_samples(mark(rows, 1).with_columns(lehr_split=pl.lit("train")), SCHEMA, 1, classes)


def figures_of(champion: Candidate, seed: int) -> dict[str, float]:
    """Latency, size and parity of the champion's real file."""
    served, features = champion.served(), len(SCHEMA.features)
    onnx = export(served, features, 1, champion.state_tensors(), champion.state_config())
    parity = check_parity(served, onnx, features, 1, seed)
    return {"latency_ms": OnnxModel(onnx).latency_ms(1), "size_mb": len(onnx) / 1e6, "parity_error": parity}
