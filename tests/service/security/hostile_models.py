"""ONNX files that nobody means well with: `hostile_models()`, for whatever loads a model or takes one over HTTP."""

import base64
import hashlib
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.service.plant import trained_version
from tests.service.security.hostile import PICKLE


def hostile_models() -> dict[str, bytes]:
    """By name; none of them may be learned from, and none may run, reach a file, or take memory for what it claims."""
    sound = trained_version(0).onnx
    return {
        "nothing": b"",
        "pickle": PICKLE,
        "text": b"import os; os.system('touch pwned')",
        "zeros": bytes(4096),
        "half of one": sound[: len(sound) // 2],
        "its end cut off": sound[:-7],
        "a flipped byte": sound[:2000] + bytes([sound[2000] ^ 0xFF]) + sound[2001:],
        "a field of 2 GiB": b"\x3a" + b"\xff\xff\xff\xff\x07" + b"x" * 100,
        "no graph": onnx.ModelProto(ir_version=8).SerializeToString(),
        "external data": _graph(_external("/etc/passwd")),
        "external data above": _graph(_external("../../../../etc/passwd")),
        "an operator of its own": _graph([helper.make_node("Evil", ["inputs"], ["prediction"], domain="evil.example")]),
        "an infinite loop": _graph(_loop()),
        "a tensor that claims 4 TiB": _graph(_claims([2**20, 2**20])),
        "a tensor of negative size": _graph(_claims([-1, -(2**40)])),
        "another input": _graph([helper.make_node("Identity", ["x"], ["prediction"])], given="x"),
        "state of another": _with_metadata(sound, **{"lehr.state": base64.b64encode(b"x" * 100).decode()}),
        "state that is a pickle": _with_state(sound, PICKLE),
        "state with a lying head": _with_state(sound, struct.pack("<Q", 2**60) + b"{}"),
        "state with a tensor beyond its end": _with_state(sound, _safetensors({"w": _tensor([2**30], 0, 2**32)})),
        "state in which tensors overlap": _with_state(
            sound, _safetensors({"a": _tensor([2], 0, 8), "b": _tensor([2], 4, 12)}, 12)
        ),
        "state that is no base64": _with_metadata(sound, **{"lehr.state": "../../etc/passwd"}),
        "state of a deep configuration": _with_state(sound, b"", "[" * 100_000),
        "state of another network": _with_state(sound, _safetensors({"w": _tensor([2], 0, 8)}, 8)),
        "contents that are changed": _with_metadata(
            sound, **{"lehr.files/card.json": base64.b64encode(b"{}").decode()}
        ),
        "contents without a hash": _with_metadata(sound, **{"lehr.files_sha256": ""}),
        "contents that are pickles": _with_files(sound, lambda name: PICKLE),
        "contents that are empty": _with_files(sound, lambda name: b""),
        "a card of NaN": _with_files(sound, lambda name: b'{"config": NaN}' if name == "card.json" else None),
        "a deep card": _with_files(sound, lambda name: b"[" * 100_000 if name == "card.json" else None),
        "a memory of junk": _with_files(
            sound, lambda name: b"PAR1" + b"\xff" * 500 + b"PAR1" if "memory" in name else None
        ),
    }


def _graph(nodes: list[Any] | tuple[list[Any], list[Any]], given: str = "inputs") -> bytes:
    nodes, initializers = nodes if isinstance(nodes, tuple) else (nodes, [])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in (given, "prediction")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], initializers)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("evil.example", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def _external(place: str) -> tuple[list[Any], list[Any]]:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=place)
    return [helper.make_node("Add", ["inputs", "w"], ["prediction"])], [tensor]


def _claims(dims: list[int]) -> tuple[list[Any], list[Any]]:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=b"\0" * 8)
    return [helper.make_node("Add", ["inputs", "w"], ["prediction"])], [tensor]


def _loop() -> tuple[list[Any], list[Any]]:
    """As often as 2**62 times, while true."""
    values = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2]),
    ]
    ends = [
        helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2]),
    ]
    inside = [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["x"], ["y"])]
    body = helper.make_graph(inside, "body", values, ends)
    loop = helper.make_node("Loop", ["many", "true", "inputs"], ["prediction"], body=body)
    return [loop], [
        numpy_helper.from_array(np.array(2**62, np.int64), "many"),
        numpy_helper.from_array(np.array(True), "true"),
    ]


def _with_metadata(model: bytes, **changes: str) -> bytes:
    document = onnx.load_model_from_string(model)
    kept = {p.key: p.value for p in document.metadata_props} | changes
    del document.metadata_props[:]
    for key, value in kept.items():
        document.metadata_props.add(key=key, value=value)
    return document.SerializeToString()


def _with_state(model: bytes, state: bytes, config: str | None = None) -> bytes:
    """State whose hash is right: whoever changes it can compute that too."""
    kept = {p.key: p.value for p in onnx.load_model_from_string(model).metadata_props}
    packed, text = base64.b64encode(state).decode(), kept["lehr.config"] if config is None else config
    sha256 = hashlib.sha256(f"{packed}\n{text}".encode()).hexdigest()
    return _with_metadata(model, **{"lehr.state": packed, "lehr.config": text, "lehr.state_sha256": sha256})


def _with_files(model: bytes, content_of: Callable[[str], bytes | None]) -> bytes:
    """Contents whose hash is right."""
    kept = {p.key: p.value for p in onnx.load_model_from_string(model).metadata_props}
    hasher, changes = hashlib.sha256(), dict[str, str]()
    for name in ("card.json", "reference.npz", "memory.parquet", "holdout.parquet"):
        given = content_of(name)
        content = base64.b64decode(kept[f"lehr.files/{name}"]) if given is None else given
        hasher.update(f"{name} {len(content)}\n".encode() + content)
        changes[f"lehr.files/{name}"] = base64.b64encode(content).decode()
    return _with_metadata(model, **changes, **{"lehr.files_sha256": hasher.hexdigest()})


def _tensor(shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


def _safetensors(head: dict[str, Any], size: int = 0) -> bytes:
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)
