import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.inference.tensors import InferResponse, encode_response, parse_request

OUTPUTS = ["prediction", "label"]


def body(**changes: Any) -> bytes:
    tensor = {"name": "inputs", "datatype": "FP32", "shape": [2, 2], "data": [[1, 2], [3, 4.5]]}
    return json.dumps({"inputs": [{**tensor, **changes}]}).encode()


@pytest.mark.parametrize("data", [[[1, 2], [3, 4.5]], [1, 2, 3, 4.5]])
def test_data_may_be_nested_or_flat(data: Any) -> None:
    asked = parse_request(body(data=data), None, 2, False, OUTPUTS)
    assert asked.inputs.dtype == np.float32
    assert asked.inputs.tolist() == [[1, 2], [3, 4.5]]
    assert asked.wanted == {"prediction": False, "label": False}


@given(arrays(np.float32, (3, 4, 2), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
@settings(max_examples=20, deadline=None)
def test_bytes_and_json_say_the_same(inputs: Any) -> None:
    head = {"name": "inputs", "datatype": "FP32", "shape": [3, 4, 2]}
    text = json.dumps({"inputs": [{**head, "data": inputs.tolist()}]}).encode()
    head["parameters"] = {"binary_data_size": inputs.nbytes}
    packed = json.dumps({"inputs": [head]}).encode()
    by_json = parse_request(text, None, 2, True, OUTPUTS)
    by_bytes = parse_request(packed + inputs.tobytes(), str(len(packed)), 2, True, OUTPUTS)
    assert np.array_equal(by_json.inputs, inputs)
    assert np.array_equal(by_bytes.inputs, inputs)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"null", "the request"),
        (b'{"inputs": []}', "inputs"),
        (b'{"inputs": [], "pickle": 1}', "inputs"),
        (body(name="input"), "expected one tensor named 'inputs'"),
        (body(datatype="FP64"), "expected FP32 of shape [samples, 2], got FP64"),
        (body(datatype="BYTES"), "expected FP32"),
        (body(shape=[2, 3]), "of shape [2, 3]"),
        (body(shape=[1, 2, 2]), "of shape [1, 2, 2]"),
        (body(shape=[0, 2], data=[]), "of shape [0, 2]"),
        (body(shape=[-1, 2]), "of shape [-1, 2]"),
        (body(shape=[2**62, 2]), "expected 9223372036854775808 numbers"),
        (body(shape=[1, 2]), "expected 2 numbers"),
        (body(data=[[1, 2], [3]]), "unequal length"),
        (body(data=[[1, 2], [3, None]]), "expected numbers"),
        (body(data=[1, 2, 3, "4"]), "expected numbers, got '4'"),
        (body(data=[True, False, True, False]), "expected numbers, got True"),
        (body(data=[1, 2, 3, 2**200]), "got inf at [1, 1]"),
        (body(data=[1, 2, 3, 1e39]), "got inf at [1, 1]"),
        (body().replace(b"4.5", b"NaN"), "not JSON"),
        (body().replace(b"4.5", b"1e400"), "not JSON"),
        (body(data=None), "expected data, or binary_data_size"),
        (body(parameters={"binary_data_size": 16}), "0 bytes behind the head, got 16"),
    ],
)
def test_what_cannot_be_predicted_is_refused_with_what_is_expected(sent: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("[", r"\[").replace("]", r"\]")):
        parse_request(sent, None, 2, False, OUTPUTS)


def packed(values: list[float], size: Any = None, parameters: dict[str, Any] | None = None) -> tuple[bytes, str]:
    raw = np.array(values, "<f4").tobytes()
    tensor: dict[str, Any] = {"name": "inputs", "datatype": "FP32", "shape": [1, 2]}
    tensor["parameters"] = {"binary_data_size": len(raw) if size is None else size}
    head = json.dumps({"inputs": [tensor], "parameters": parameters or {}}).encode()
    return head + raw, str(len(head))


@pytest.mark.parametrize("size", [-8, 4, 12, 2**40, "8", True, None.__class__])
def test_lengths_that_lie_are_refused(size: Any) -> None:
    content, length = packed([1, 2], size if not isinstance(size, type) else [])
    with pytest.raises(ValueError, match="binary_data_size"):
        parse_request(content, length, 2, False, OUTPUTS)
    for wrong in ("-1", "1e3", "99999", "x"):
        with pytest.raises(ValueError, match="Inference-Header-Content-Length"):
            parse_request(content, wrong, 2, False, OUTPUTS)


def test_a_missing_reading_is_sent_only_where_it_is_said() -> None:
    content, length = packed([1, np.nan])
    with pytest.raises(ValueError, match="allow_missing"):
        parse_request(content, length, 2, False, OUTPUTS)
    content, length = packed([1, np.nan], parameters={"allow_missing": True})
    assert np.isnan(parse_request(content, length, 2, False, OUTPUTS).inputs[0, 1])
    content, length = packed([1, np.inf], parameters={"allow_missing": True})
    with pytest.raises(ValueError, match="got inf"):
        parse_request(content, length, 2, False, OUTPUTS)


def test_outputs_are_answered_as_they_are_wanted() -> None:
    request = {**json.loads(body()), "outputs": [{"name": "label", "parameters": {"binary_data": True}}]}
    asked = parse_request(json.dumps(request).encode(), None, 2, False, OUTPUTS)
    assert asked.wanted == {"label": True}
    answer = {"model_name": "line", "model_version": "3", "parameters": {}}
    content, head = encode_response(answer, asked.wanted, {"label": ["gut", "böse"]})
    assert content[head:] == b"\x03\0\0\0gut\x05\0\0\0b\xc3\xb6se"
    assert InferResponse.model_validate_json(content[:head]).model_version == "3"
    assert json.loads(content[:head])["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(content) - head}}
    ]
    request["outputs"] = [{"name": "embedding"}]
    with pytest.raises(ValueError, match="expected prediction or label, got 'embedding'"):
        parse_request(json.dumps(request).encode(), None, 2, False, OUTPUTS)
