"""Whether a node, a group of alike nodes, or all should learn: decided from summaries that may leave a node.

Each node holds its new rows against the reference beside its own model; what it tells is whether they moved, and how
far each sensor's median did. Shapes: n nodes, C sensors.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from scipy.cluster.hierarchy import fcluster, linkage

from data.files import write_whole
from data.windows import make_samples
from deployments.portable import unpack
from deployments.scoring import OnnxModel
from learning.federation.sources import NodeData
from monitoring.config import DriftConfig
from monitoring.distances import Sketch
from monitoring.drift import check_drift
from monitoring.reference import Reference

ALIKE = 0.5
"""The cosine between two nodes' shifts from which on they moved the same way."""
ALL_SHARE = 0.5
"""If so many of all nodes moved the same way, it is taken for what the others will see too."""
LEAST_SHIFT, MOST_SHIFT = 0.1, 8.0
"""In deviations: below, a node has no direction."""
NO_REFERENCE = "it has not learned with the others yet"


@dataclass(frozen=True)
class Summary:
    """What a node tells of its new rows. shifts: of each sensor's median, in deviations, to a hundredth."""

    node: str
    rows: int
    drifted: bool
    shifts: Mapping[str, float]
    note: str


@dataclass(frozen=True)
class Learners:
    """Which nodes learn, by the groups that learn together."""

    action: Literal["none", "node", "cluster", "all"]
    groups: tuple[tuple[str, ...], ...]
    reason: str


class Watcher:
    """A node's own look at its new rows; folder: where its model lies, and which files it has learned from."""

    def __init__(self, node: str, folder: Path) -> None:
        self._node, self._model, self._seen = node, folder / "model.onnx", folder / "seen.json"

    def keep(self, data: NodeData) -> None:
        """Remember that all of these rows were learned from."""
        write_whole(self._seen, json.dumps(sorted(data.deliveries)).encode())

    def watch(self, data: NodeData) -> Summary:
        """What the files that came since tell; only what the summary holds leaves the node."""
        if not self._model.exists() or data.table is None:
            return Summary(self._node, 0, False, {}, NO_REFERENCE)
        seen = set(json.loads(self._seen.read_bytes()))
        new = [number for number, name in enumerate(data.deliveries, start=1) if name not in seen]
        rows = data.table.filter(pl.col("lehr_batch").is_in(new))
        if rows.height == 0:
            return Summary(self._node, 0, False, {}, "nothing new")
        return self._compare(rows, data)

    def _compare(self, rows: pl.DataFrame, data: NodeData) -> Summary:
        assert data.schema is not None
        onnx = self._model.read_bytes()
        packed = unpack(onnx)
        reference, classes = Reference.load(packed.reference), packed.card["classes"]
        whole = rows.with_columns(pl.lit("all").alias("lehr_split"))
        length = packed.card["config"]["data"]["window"]["length"]
        samples = make_samples(whole, data.schema, length, classes, keep_unknown=True, keep_unlabelled=True)
        ends_B = (samples.starts_B + samples.length - 1).numpy()
        predictions = OnnxModel(onnx).predict_samples(samples)
        report, _ = check_drift(reference, None, whole, data.schema, predictions, ends_B, DriftConfig())
        shifts = {name: _shift(reference, name, rows[name]) for name in data.schema.features}
        return Summary(self._node, rows.height, report.drifted, shifts, report.summary)


def decide(summaries: Sequence[Summary], least_together: int = 1) -> Learners:
    """Who learns: nobody, the nodes that moved, in groups that moved the same way, or all where most did.

    least_together: a smaller group does not learn with the federation.
    """
    moved = sorted((summary for summary in summaries if summary.drifted), key=lambda summary: summary.node)
    if not moved:
        return Learners("none", (), f"none of {len(summaries)} nodes has moved")
    clusters = _clusters(moved)
    largest = max(clusters, key=len)
    if len(largest) >= max(2, ALL_SHARE * len(summaries)):
        everyone = tuple(sorted(summary.node for summary in summaries))
        return Learners(
            "all", (everyone,), f"{len(largest)} of {len(summaries)} nodes moved the same way: {_named(largest)}"
        )
    groups = tuple(group for group in clusters if len(group) >= least_together)
    said = "; ".join(_named(group) for group in clusters)
    if len(groups) < len(clusters):
        said += f"; of these groups under {least_together} are too few to hide one another"
    action = "none" if not groups else "cluster" if any(len(group) > 1 for group in groups) else "node"
    return Learners(action, groups, f"{len(moved)} of {len(summaries)} nodes moved: {said}")


def _clusters(moved: Sequence[Summary]) -> list[tuple[str, ...]]:
    """Nodes whose shifts point the same way, by average linkage; a node without a direction is alone."""
    sensors = sorted({sensor for summary in moved for sensor in summary.shifts})
    shifts_nC = np.array([[summary.shifts.get(sensor, 0.0) for sensor in sensors] for summary in moved])
    lengths_n = np.linalg.norm(shifts_nC, axis=1)
    directed: list[int] = np.flatnonzero(lengths_n >= LEAST_SHIFT).tolist()
    found: list[tuple[str, ...]] = [
        (summary.node,) for summary, length in zip(moved, lengths_n, strict=True) if length < LEAST_SHIFT
    ]
    if len(directed) < 2:
        return sorted([*found, *((moved[i].node,) for i in directed)])
    labels = fcluster(linkage(shifts_nC[directed], "average", "cosine"), 1 - ALIKE, "distance")
    for label in sorted({*labels.tolist()}):
        found.append(tuple(moved[i].node for i, own in zip(directed, labels, strict=True) if own == label))
    return sorted(found)


def _shift(reference: Reference, sensor: str, column: pl.Series) -> float:
    """How far the median is from the reference's, in its deviations."""
    seen, known = reference.channels[sensor].seen, column.drop_nulls()
    if not isinstance(seen, Sketch) or seen.rows == 0 or len(known) == 0:
        return 0.0
    middle = seen.values_K[np.searchsorted(seen.upto_K, seen.rows / 2)]
    median = known.median()
    assert isinstance(median, float)
    shift = (median - float(middle)) / max(seen.deviation, 1e-12)
    return round(float(np.clip(shift, -MOST_SHIFT, MOST_SHIFT)), 2)


def _named(group: Sequence[str]) -> str:
    return ", ".join(group)
