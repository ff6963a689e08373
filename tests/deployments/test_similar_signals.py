from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from commands.similar import index as index_command
from commands.similar import similar
from data.ledger import Ledger
from data.signal_sources import read_signals
from data.signals import Signals
from data.synthetic_signals import SignalPlan, synthetic_signals
from deployments.settings import Settings
from deployments.signal_export import export_signals
from deployments.similar_signals import index_files, nearest_named, open_embedder, open_embedder_of, with_anomalies
from deployments.versions import save_version
from learning.representation import fit_normaliser, represent
from models.config import HierarchicalConfig
from models.hierarchical import HierarchicalSignalNet
from monitoring.anomaly import fit_healthy
from monitoring.signals_page import write_signals_page
from monitoring.similarity import Neighbours, open_index
from monitoring.similarity_files import MANIFEST

PIPELINE = "name: cycles\ntask: representation\ndata: {element: machine}\n"


def write(signals: Signals, path: Path) -> Path:
    columns = {"signals": signals.values_NCT, "lengths": signals.lengths_N}
    ids = {"element_ids": signals.element_ids_N, "session_ids": signals.session_ids_N}
    np.savez(path, **columns, **ids)
    return path


def network(signals: Signals, seed: int, size: int = 8) -> HierarchicalSignalNet:
    torch.manual_seed(seed)
    config = HierarchicalConfig(channels=[8], hidden_units=8, embedding_dim=size, dropout=0.0)
    net = HierarchicalSignalNet(signals.channels, tuple(signals.keypoints), config)
    fit_normaliser(net, signals)
    return net.eval()


@pytest.fixture
def old(tmp_path: Path) -> Signals:
    signals = synthetic_signals(SignalPlan(elements=(0, 1, 2), signals=4), 0)
    write(signals, tmp_path / "old.npz")
    (tmp_path / "model.onnx").write_bytes(export_signals(network(signals, 0)))
    return signals


def test_the_nearest_are_those_of_the_networks_own_embeddings(tmp_path: Path, old: Signals) -> None:
    new = synthetic_signals(SignalPlan(elements=(0, 2), sessions=(9,), signals=3), 0)
    embedder = open_embedder(tmp_path / "model.onnx", Settings(home=tmp_path))
    assert index_files([tmp_path / "old.npz"], tmp_path / "index", embedder) == [(tmp_path / "old.npz", len(old))]
    index = open_index(tmp_path / "index")
    found = embedder.represent(write(new, tmp_path / "new.npz"))
    table = nearest_named(index, index, found, 4)
    ours, theirs = (represent(network(old, 0), signals).embeddings_NE.astype(np.float64) for signals in (new, old))
    far = np.linalg.norm(ours[:, None] - theirs, axis=2)
    np.testing.assert_allclose(table["distance"].to_numpy().reshape(-1, 4), np.sort(far, 1)[:, :4], atol=1e-4)
    assert table["signal"].to_list() == np.repeat(np.arange(1, 7), 4).tolist()
    places = [int(name.rpartition(":")[2]) - 1 for name in table["id"]]
    assert table["element"].to_list() == old.element_ids_N[places].tolist()
    assert table["session"].to_list() == old.session_ids_N[places].tolist()


def test_a_signal_is_not_found_as_its_own_neighbour(tmp_path: Path, old: Signals) -> None:
    embedder = open_embedder(tmp_path / "model.onnx", Settings(home=tmp_path))
    index_files([tmp_path / "old.npz"], tmp_path / "index", embedder)
    assert index_files([tmp_path / "old.npz"], tmp_path / "index", embedder) == [(tmp_path / "old.npz", 0)]
    index = open_index(tmp_path / "index")
    table = nearest_named(index, index, embedder.represent(tmp_path / "old.npz"), 1000)
    assert table.height == len(old) * (len(old) - 1)
    own = table.filter(pl.col("id") == pl.format(f"{tmp_path / 'old.npz'}:{{}}", "signal"))
    assert own.is_empty()


def test_a_search_that_finds_fewer_says_those(tmp_path: Path, old: Signals) -> None:
    embedder = open_embedder(tmp_path / "model.onnx", Settings(home=tmp_path))
    index_files([tmp_path / "old.npz"], tmp_path / "index", embedder)
    index = open_index(tmp_path / "index")
    bare = embedder.represent(write(old.take(np.arange(2)), tmp_path / "new.npz"))

    class FindsFewer:
        def nearest(self, queries_QE: np.ndarray, k: int) -> Neighbours:
            return index.ranked(queries_QE, np.array([[3, -1], [5, 7]]), k)

    table = nearest_named(FindsFewer(), index, bare, 2)
    assert table["signal"].to_list() == [1, 2, 2]
    judged = with_anomalies(table, index, index, bare, 2, false_alarms=0.5)
    assert judged["anomaly"].is_infinite().to_list() == [True, False, False]
    assert judged["alarm"][0]


def test_from_the_command_line(tmp_path: Path, old: Signals, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "index"
    with pytest.raises(ValueError, match="is a new index: name what represents its signals, --model"):
        index_command(tmp_path / "old.npz", index=folder)
    index_command(tmp_path / "old.npz", index=folder, model=tmp_path / "model.onnx")
    index_command(tmp_path / "old.npz", index=folder)
    similar(tmp_path / "old.npz", index=folder, neighbours=2, csv=tmp_path / "a.csv", html=tmp_path / "a.html")
    printed = capsys.readouterr().out
    assert "36 signals added" in printed
    assert "was added before, nothing changed" in printed
    assert "the first 20 of 36 signals" in printed
    assert pl.read_csv(tmp_path / "a.csv").height == 72
    page = (tmp_path / "a.html").read_text()
    assert '<div class="plot" id="map"' in page
    assert '<div class="plot" id="signal-5"' in page


def test_a_page_on_which_nothing_could_be_aligned_says_why(tmp_path: Path, old: Signals) -> None:
    embedder = open_embedder(tmp_path / "model.onnx", Settings(home=tmp_path))
    index_files([tmp_path / "old.npz"], tmp_path / "index", embedder)
    index, found = open_index(tmp_path / "index"), embedder.represent(tmp_path / "old.npz")
    outside = {"rise": np.where(np.arange(len(old)) % 2, -500, 600).astype(np.float32)}
    table = nearest_named(index, index, found, 1)
    write_signals_page(index, found.signals, found.embeddings_NE, outside, table, tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert "Not aligned: no signal can be aligned; the first: rise at 600 lies outside" in page
    assert "0 signals, warped" not in page
    assert "signal 0" not in page


def test_what_lies_far_from_an_index_of_healthy_signals_is_an_alarm(
    tmp_path: Path, old: Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    index_command(tmp_path / "old.npz", index=tmp_path / "index", model=tmp_path / "model.onnx")
    plan = SignalPlan(elements=(0, 1, 2), sessions=(5, 6, 7, 8), signals=8)
    healthy = write(synthetic_signals(plan, 0), tmp_path / "healthy.npz")
    sound = synthetic_signals(SignalPlan(elements=(0, 1), sessions=(9,), signals=3), 0)
    noise = np.random.default_rng(0).normal(0, 20 * np.abs(sound.values_NCT).max(), sound.values_NCT.shape)
    values_NCT = np.where(np.arange(len(sound))[:, None, None] == 4, noise, sound.values_NCT).astype(np.float32)
    asked = write(replace(sound, values_NCT=values_NCT), tmp_path / "asked.npz")
    similar(asked, index=tmp_path / "index", neighbours=3, healthy=healthy, false_alarms=0.05,
            csv=tmp_path / "a.csv", html=tmp_path / "a.html")  # fmt: skip
    table = pl.read_csv(tmp_path / "a.csv")
    far = table.group_by("signal", maintain_order=True).agg(
        pl.col("distance").max(), pl.col("anomaly", "alarm").first()
    )
    assert far["anomaly"].to_list() == far["distance"].to_list()
    reference = fit_healthy(
        open_index(tmp_path / "index"), represent(network(old, 0), read_signals(healthy)).embeddings_NE, 0.05, 3
    )
    assert far["alarm"].to_list() == (far["anomaly"] > reference.threshold).to_list()
    assert far["alarm"][4]
    assert f"{far['alarm'].sum()} alarms of 6 signals: signals " in capsys.readouterr().out
    assert (tmp_path / "a.html").read_text().count(", an alarm") == 3 * far["alarm"].sum()
    with pytest.raises(ValueError, match="the healthy signals to calibrate on are in the index"):
        similar(asked, index=tmp_path / "index", healthy=tmp_path / "old.npz")


def test_another_model_is_refused_before_anything_is_compared(tmp_path: Path, old: Signals) -> None:
    index_command(tmp_path / "old.npz", index=tmp_path / "index", model=tmp_path / "model.onnx")
    other = tmp_path / "other.onnx"
    other.write_bytes(export_signals(network(old, 1)))
    for command in (similar, index_command):
        with pytest.raises(ValueError, match="the index was made with another model"):
            command(tmp_path / "old.npz", index=tmp_path / "index", model=other)
    (tmp_path / "index" / "model.onnx").write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match="the index was made with another model"):
        open_embedder_of(open_index(tmp_path / "index"))
    (tmp_path / "index" / "model.onnx").unlink()
    with pytest.raises(ValueError, match=r"model.onnx: No such file or directory; name the model with --model"):
        similar(tmp_path / "old.npz", index=tmp_path / "index")


def test_a_pipeline_file_stands_for_its_champion(tmp_path: Path, old: Signals) -> None:
    pipeline, home = tmp_path / "cycles.yaml", tmp_path / "home"
    pipeline.write_text(PIPELINE)
    settings = Settings(home=home)
    home.mkdir()
    with pytest.raises(ValueError, match="cycles has no version in production yet"):
        open_embedder(pipeline, settings)
    onnx = (tmp_path / "model.onnx").read_bytes()
    sha256 = save_version(home / "cycles" / "versions" / "1", onnx, {}, b"", pl.DataFrame({"batch": [1]}))
    ledger = Ledger(settings.ledger_url, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    ledger.register_version("cycles", 1, sha256, None, 1, "replay")
    ledger.promote("cycles", 1, None, {}, "first")
    assert open_embedder(pipeline, settings).onnx == onnx
    with pytest.raises(ValueError, match="missing array 'machine'"):
        index_command(tmp_path / "old.npz", index=tmp_path / "index", model=pipeline, home=home)
    arrays = dict(np.load(tmp_path / "old.npz"))
    np.savez(tmp_path / "named.npz", **arrays | {"machine": arrays.pop("element_ids")})
    index_command(tmp_path / "named.npz", index=tmp_path / "index", model=pipeline, home=home)
    assert len(open_index(tmp_path / "index")) == len(old)
    similar(tmp_path / "named.npz", index=tmp_path / "index")
    np.savez(tmp_path / "bare.npz", signals=arrays["signals"], lengths=arrays["lengths"])
    similar(tmp_path / "bare.npz", index=tmp_path / "index")
    pipeline.write_text("name: cycles\ntask: regression\ndata: {target: y}\n")
    with pytest.raises(ValueError, match="task: regression has no embeddings; allowed is task: representation"):
        open_embedder(pipeline, settings)


def test_a_model_that_is_not_there_or_of_another_kind_is_said(tmp_path: Path, old: Signals) -> None:
    with pytest.raises(ValueError, match=r"no.onnx: No such file or directory; give a model.onnx, or a pipeline file"):
        open_embedder(tmp_path / "no.onnx", Settings(home=tmp_path))
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(ValueError, match="onnxruntime does not take this ONNX file"):
        index_command(tmp_path / "old.npz", index=tmp_path / "index", model=tmp_path / "bad.onnx")
    assert not (tmp_path / "index").exists()


def test_of_two_that_begin_an_index_with_two_models_one_is_refused_and_breaks_nothing(
    tmp_path: Path, old: Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.onnx").write_bytes(export_signals(network(old, 1)))
    first, second = (open_embedder(tmp_path / name, Settings(home=tmp_path)) for name in ("model.onnx", "other.onnx"))
    folder, looked, exists = tmp_path / "index", list[bool](), Path.exists

    def exists_until_another_came(path: Path, **options: Any) -> bool:
        """The first who looks for an index finds none, and is overtaken before it does anything about that."""
        found = exists(path, **options)
        if path == folder / MANIFEST and not looked:
            looked.append(found)
            index_files([tmp_path / "old.npz"], folder, first)
        return found

    monkeypatch.setattr(Path, "exists", exists_until_another_came)
    with pytest.raises(ValueError, match="the index was made with another model"):
        index_files([tmp_path / "old.npz"], folder, second)
    assert looked == [False]
    assert open_embedder_of(open_index(folder)).onnx == first.onnx


def test_a_new_index_knows_nothing_of_an_attempt_that_was_broken_off(tmp_path: Path, old: Signals) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    (folder / "data.json").write_text('{"element": "press"}')
    (folder / "model.onnx").write_bytes(b"of another")
    index_files([tmp_path / "old.npz"], folder, open_embedder(tmp_path / "model.onnx", Settings(home=tmp_path)))
    assert open_embedder_of(open_index(folder)).config is None


def test_ids_that_look_like_markup_are_printed_as_they_are(
    tmp_path: Path, old: Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = replace(old, element_ids_N=np.array(["[/nope]"] * len(old)))
    file = write(strange, tmp_path / "[red]b.npz")
    index_command(file, index=tmp_path / "index", model=tmp_path / "model.onnx")
    similar(file, index=tmp_path / "index", csv=tmp_path / "new" / "found.csv")
    printed = capsys.readouterr().out
    assert "[/nope]" in printed
    assert "[red]b.npz: 36 signals added" in printed.replace("\n", "")
    assert pl.read_csv(tmp_path / "new" / "found.csv")["element"].unique().to_list() == ["[/nope]"]
