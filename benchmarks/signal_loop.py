"""The loop over one machine hall's signals as pure functions: no orchestrator, no ledger, no files but the suite.

A delivery goes through what the flow calls: validation, triage, setting aside, learning, the gate. An update is asked
for whatever the triggers would say, and the ladder climbed from there as the flow climbs it. Candidates are not
exported one by one: the figures of the file (latency, size, parity) are the champion's, whose shape they have.
Shapes: N signals.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TypedDict

import numpy as np
import polars as pl

from data.signal_checks import BATCH, signals_frame, signals_of
from data.signal_config import SignalDataConfig, SignalHoldout, SignalSchema
from data.signal_splits import mark_signals
from data.signal_suite import validate_signals
from data.signals import Signals, join_signals
from data.synthetic_signals import CHANNELS, KEYPOINTS, SignalPlan, synthetic_signals
from deployments.ladder import Rung, next_rung
from deployments.representation_pipeline import RepresentationGate
from deployments.setting_aside import without_signals
from deployments.signal_evidence import scores_of as gate_scores
from deployments.signal_evidence import weigh
from deployments.signal_export import SignalModel, check_signal_parity, export_signals
from deployments.signal_judging import champion_holds, count_remembered, judge
from deployments.signal_triaging import EARLIER_BATCHES, describe_channels
from deployments.verdict import Verdict
from deployments.verdict import failed as cannot
from learning.representation import choose_memory, fit_representation, represent, update_representation
from learning.representation_config import RepresentationConfig
from models.config import HierarchicalConfig
from models.hierarchical import HierarchicalSignalNet
from monitoring.causes import Readings
from monitoring.representation import SignalScores, signal_losses
from monitoring.signal_triage import triage_signals
from monitoring.wager import Wager

ELEMENTS, SESSIONS, SIGNALS, SAMPLES = 8, 4, 5, 48
"""Elements of a hall; sessions of each that a batch brings, signals of a session, samples of the longest."""
LEARNED, LATER = 4, 10
"""Batches that the champion learned from; those after it, of which each can be the next."""
TRUE_SESSIONS, LONG_AFTER = 30, 1000
"""Sessions of each element by which versions are compared in truth, and where they begin."""
NOISE = 0.5
PROBATION = 50
"""Batches for which the predecessor goes on scoring beside a promoted version, as the gate has it by default."""
DATA = SignalDataConfig(keypoints=list(KEYPOINTS), holdout=SignalHoldout(by="session", share=0.4))
SCHEMA: SignalSchema = DATA.schema_for(CHANNELS)
GATE = RepresentationGate(thresholds={"element_recall_at_1": 0.5, "keypoint_mae": 4})
MODEL = HierarchicalConfig(channels=[8, 16], hidden_units=16, embedding_dim=16, dropout=0.0)
TRAINING = RepresentationConfig(
    epochs=36, p_elements=8, k_samples=6, learning_rate=0.01, update_share=0.12, held_out=0.0
)
MAX_QUARANTINED_SHARE = 0.2


class Figures(TypedDict):
    """Of an exported file."""

    latency_ms: float
    size_mb: float
    parity_error: float


@dataclass(frozen=True)
class Version:
    """A network with what it remembers, and the last batch that it learned from."""

    network: HierarchicalSignalNet
    memory: Signals
    through: int


@dataclass(frozen=True)
class Answer:
    """What the loop made of a delivery. promoted: the version that went live; None: the champion stays.

    after: the scene that the next delivery finds where the champion stays and learns from this one all the same.
    """

    promoted: Version | None
    stopped_by: str
    after: "Scene | None" = None


@dataclass(frozen=True)
class Scene:
    """A hall whose champion has learned from the first batches; the next one can be any of those after.

    lineage: what learning goes on from, the newest version, refused or not. seen: batches so far; stored: their
    signals, but for those set aside; faulty: batches that said more about a sensor than about the process. plan: of
    the hall. truth: clean signals of other sessions, all annotated.
    """

    seed: int
    suite: Path
    plan: SignalPlan
    champion: Version
    lineage: Version
    seen: int
    stored: pl.DataFrame
    faulty: tuple[int, ...]
    truth: Signals
    figures: Figures

    def delivery(self, number: int) -> Signals:
        """The hall's batch of that number."""
        return delivery_of(self.plan, self.seed, number)

    def take(self, delivery: Signals) -> Answer:
        """The next delivery through the whole loop."""
        frame = signals_frame(delivery, SCHEMA).drop(BATCH)
        report = validate_signals(frame, SCHEMA, DATA, self.suite, MAX_QUARANTINED_SHARE)
        if report.refusal is not None:
            return Answer(None, "validation")
        sound = [row for row in range(frame.height) if row not in report.reasons]
        marked = mark(frame[sound], self.seen + 1)
        aside = self._set_aside(marked)
        kept = without_signals(marked, {self.seen + 1: aside})
        promoted, stopped_by, lineage = self._climb(kept)
        after = replace(
            self,
            lineage=lineage,
            seen=self.seen + 1,
            stored=pl.concat([self.stored, kept]),
            faulty=(*self.faulty, *([self.seen + 1] if aside else [])),
        )
        return Answer(promoted, stopped_by, None if promoted else after)

    def learn(self, rows: pl.DataFrame, rung: Rung = "update") -> Version:
        """A candidate of the new batch's signals."""
        everything = pl.concat([self.stored, rows])
        learned = everything.filter(pl.col("lehr_split") == "train")
        number, training = self.seen + 1, TRAINING.model_copy(update={"seed": self.seed})
        if rung == "retrain":
            remembered = signals_of(learned, SCHEMA)
            made = fit_representation(remembered, MODEL, training)
        else:
            new = signals_of(learned.filter(pl.col(BATCH) > self.lineage.through), SCHEMA)
            remembered = join_signals([self.lineage.memory, new])
            made = update_representation(self.lineage.network, self.lineage.memory, new, training)
        return Version(made.network, choose_memory(remembered, training.memory_signals, training.seed), number)

    def judge(self, candidate: Version, rows: pl.DataFrame) -> tuple[Verdict, bool]:
        """Hold a candidate against the champion on all held-out signals; whether that still holds the thresholds."""
        everything = pl.concat([self.stored, rows])
        held_out = signals_of(everything.filter(pl.col("lehr_split") == "holdout"), SCHEMA)
        try:
            evidence = weigh(
                GATE,
                held_out,
                *(represent(version.network, held_out) for version in (candidate, self.champion)),
                champion_through=self.champion.through,
                learned=count_remembered(candidate.memory, held_out, DATA.holdout),
                seed=self.seed,
                **self.figures,
            )
        except ValueError as error:
            return Verdict(False, (cannot("scores", error),)), False
        return judge(GATE, evidence), champion_holds(GATE, evidence)

    def lost(self, candidate: Version) -> dict[str, float]:
        """Points of recall that a candidate has less than the champion in truth, and by what share it errs more."""
        before, after = (scores_of(v, self.truth).scores() for v in (self.champion, candidate))
        return {
            "element_recall_at_1": before["element_recall_at_1"] - after["element_recall_at_1"],
            "keypoint_mae": after["keypoint_mae"] / before["keypoint_mae"] - 1,
        }

    def taken_back_after(self, candidate: Version, number: int) -> int | None:
        """Sound batches after that one until the champion has proven to be better and serves again; None: never.

        Neither learns meanwhile, which is the slowest case.
        """
        wager = Wager()
        for waited in range(1, PROBATION + 1):
            signals = self.delivery(number + waited)
            before, after = (signal_losses(GATE.metric, scores_of(v, signals)) for v in (self.champion, candidate))
            wager = wager.observe(after - before, worst=1.0)
            if wager.proven:
                return waited
        return None

    def _set_aside(self, marked: pl.DataFrame) -> tuple[Readings, ...]:
        """What triage would set aside of a batch; where it lies in the file, as nothing before it is missing there."""
        sound = [number for number in range(1, self.seen + 1) if number not in self.faulty][-EARLIER_BATCHES:]
        before = describe_channels(self.stored.filter(pl.col(BATCH).is_in(sound)), SCHEMA)
        found = triage_signals(SCHEMA.channels, before, describe_channels(marked, SCHEMA), (), None)
        rows = marked["lehr_row"].to_list()
        return tuple(replace(part, first=rows[part.first], last=rows[part.last]) for part in found.set_aside)

    def _climb(self, rows: pl.DataFrame) -> tuple[Version | None, str, Version]:
        """What went live, if anything, what stopped the last candidate, and the newest version."""
        if rows.filter(pl.col("lehr_split") == "train").is_empty():
            return None, "nothing to learn from", self.lineage
        tried: list[Rung] = []
        refused, candidate, holds = "", self.lineage, False
        while (rung := next_rung("update", tuple(tried), holds)) is not None:
            tried.append(rung)
            candidate = self.learn(rows, rung)
            verdict, holds = self.judge(candidate, rows)
            if verdict.passed:
                return candidate, "promoted", candidate
            refused = failed(verdict)
        return None, refused, candidate


def open_scene(seed: int) -> Scene:
    """A hall of this seed, its champion trained on three batches and updated with a fourth."""
    plan = SignalPlan(tuple(range(ELEMENTS)), signals=SIGNALS, samples=SAMPLES, noise=NOISE)
    frames = [signals_frame(delivery_of(plan, seed, n), SCHEMA).drop(BATCH) for n in range(1, LEARNED + 1)]
    suite = Path(mkdtemp(prefix="lehr-signals-")) / "suite.json"
    validate_signals(frames[0], SCHEMA, DATA, suite, MAX_QUARANTINED_SHARE)
    marked = [mark(frame, number) for number, frame in enumerate(frames, start=1)]
    learned = [signals_of(rows.filter(pl.col("lehr_split") == "train"), SCHEMA) for rows in marked]
    training = TRAINING.model_copy(update={"seed": seed})
    first, kept = join_signals(learned[:-1]), training.memory_signals
    network, memory = fit_representation(first, MODEL, training).network, choose_memory(first, kept, seed)
    network = update_representation(network, memory, learned[-1], training).network
    memory = choose_memory(join_signals([memory, learned[-1]]), kept, seed)
    champion = Version(network, memory, LEARNED)
    truth = truth_of(plan, seed)
    figures = figures_of(network, truth, seed)
    return Scene(seed, suite, plan, champion, champion, LEARNED, pl.concat(marked), (), truth, figures)


def delivery_of(plan: SignalPlan, seed: int, number: int) -> Signals:
    """The batch of that number: sessions of every element that nobody has seen yet, named after the hall."""
    first = (number - 1) * SESSIONS
    signals = synthetic_signals(replace(plan, sessions=tuple(range(first, first + SESSIONS))), seed)
    return replace(signals, session_ids_N=np.array([f"{seed}/{name}" for name in signals.session_ids_N]))


def truth_of(plan: SignalPlan, seed: int) -> Signals:
    """Clean signals of sessions long after all that any batch holds, every keypoint told."""
    sessions = tuple(range(LONG_AFTER, LONG_AFTER + TRUE_SESSIONS))
    return synthetic_signals(replace(plan, sessions=sessions, annotated=1.0), seed)


def mark(frame: pl.DataFrame, number: int) -> pl.DataFrame:
    """A batch's sound signals as the feature store would give them back."""
    numbered = frame.with_columns(lehr_row=pl.int_range(1, frame.height + 1, dtype=pl.Int32))
    return mark_signals(numbered, SCHEMA, DATA.holdout, number)


def scores_of(version: Version, signals: Signals) -> SignalScores:
    """What a version makes of signals, by every metric."""
    return gate_scores(GATE, signals, represent(version.network, signals))


def failed(verdict: Verdict) -> str:
    """The names of the checks that a candidate did not pass."""
    return ", ".join(check.name for check in verdict.checks if not check.passed)


def figures_of(network: HierarchicalSignalNet, signals: Signals, seed: int) -> Figures:
    """Latency, size and parity of the champion's real file."""
    onnx = export_signals(network)
    parity = check_signal_parity(network, onnx, (SAMPLES // 2, SAMPLES), seed)
    return {
        "latency_ms": SignalModel(onnx).latency_ms(signals.longest()),
        "size_mb": len(onnx) / 1e6,
        "parity_error": parity,
    }
