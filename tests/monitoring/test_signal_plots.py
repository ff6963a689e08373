import json

import numpy as np
import polars as pl
import pytest

from data.alignment import align_signals
from data.synthetic_signals import SignalPlan, synthetic_signals
from monitoring.signal_plots import ELEMENTS, OTHERS, plot_aligned, plot_embeddings, plot_keypoints


def unit(count: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, 6))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_the_map_keeps_the_distances_of_embeddings_that_lie_in_a_plane() -> None:
    angles = np.linspace(0, 6, 40)
    embeddings = np.zeros((40, 6), np.float32)
    embeddings[:, 1], embeddings[:, 4] = np.cos(angles), np.sin(angles)
    names = pl.DataFrame({"element": ["m"] * 40, "session": [f"{n:02}" for n in range(40)]})
    plot = plot_embeddings(embeddings, names)
    trace = plot["data"][0]
    flat = np.stack([trace["x"], trace["y"]], 1)
    far = np.linalg.norm(embeddings[:, None] - embeddings, axis=2)
    np.testing.assert_allclose(np.linalg.norm(flat[:, None] - flat, axis=2), far, atol=1e-5)
    shares = [int(plot["layout"][axis]["title"]["text"].split("%")[0]) for axis in ("xaxis", "yaxis")]
    assert sum(shares) == pytest.approx(100, abs=1)


def test_an_element_is_a_colour_and_a_session_a_symbol() -> None:
    elements = [f"m{n}" for n in range(12) for _ in range(12 - n)]
    sessions = [f"s{n % 2}" for n in range(len(elements))]
    plot = plot_embeddings(unit(len(elements), 0), pl.DataFrame({"element": elements, "session": sessions}), unit(3, 1))
    names = {trace["name"]: trace for trace in plot["data"]}
    assert list(names) == ["other elements", *(f"m{n}" for n in range(len(ELEMENTS))), "looked up"]
    assert names["other elements"]["marker"]["color"] == OTHERS
    assert set(names["m0"]["marker"]["symbol"]) == {"circle", "square"}
    assert len(names["looked up"]["x"]) == 3
    json.dumps(plot, allow_nan=False)


def test_what_is_not_annotated_is_not_drawn() -> None:
    values = np.stack([np.arange(30.0), np.zeros(30)]).astype(np.float32)
    plot = plot_keypoints(values, {"a": 4.0, "b": 20.5}, {"a": 5.0, "b": float("nan")})
    assert [shape["x0"] for shape in plot["layout"]["shapes"]] == [4.0, 20.5]
    assert (plot["data"][-1]["x"], plot["data"][-1]["y"]) == ([5.0], [5.0])
    json.dumps(plot, allow_nan=False)


def test_the_overlay_has_the_mean_and_a_deviation_to_both_sides() -> None:
    aligned = align_signals(synthetic_signals(SignalPlan(elements=(0,), signals=40), 0))
    plot = plot_aligned(aligned, 1)
    *singles, band, mean = plot["data"]
    assert 50 <= len(singles) <= 60
    np.testing.assert_allclose(mean["y"], aligned.mean_CT[1], rtol=1e-4)
    height = np.array(band["y"][: len(mean["y"])]) - np.array(mean["y"])
    np.testing.assert_allclose(height, aligned.deviation_CT[1], atol=1e-3)
    assert [shape["x0"] for shape in plot["layout"]["shapes"]] == pytest.approx(list(aligned.targets.values()))
    json.dumps(plot, allow_nan=False)


def test_names_of_near_keypoints_stand_at_heights_of_their_own() -> None:
    positions = {"onset": 50.0, "peak": 51.0, "offset": 52.0, "notch": 53.0, "far": 95.0}
    layout = plot_keypoints(np.zeros((1, 100), np.float32), positions)["layout"]
    assert [text["yshift"] for text in layout["annotations"]] == [0, 14, 28, 42, 0]
    assert layout["margin"]["t"] == 8 + 4 * 14
