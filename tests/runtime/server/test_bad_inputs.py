"""Rows 1 to 14 and 17 to 21 of the table of bad inputs, on servers of every transport, which must go on answering.

Every refusal is the client's to understand: a status of 4xx, a body of one key, the input named with what was expected
and what came. The numbers are the table's.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import servers
import tiny_models
import transports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import Answer, Server

INFER = "/v2/models/linear/infer"
GOOD = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2.5, 3, 4]}]}
LENGTH = "Inference-Header-Content-Length"
LIMIT = 16 << 20
# What HTTP servers differ in is theirs: how they close a connection on a client that still sends, and when at all.
own_server_alone = pytest.mark.parametrize("linear", [transports.OWN], indirect=True)
NULLABLE = "a missing value is accepted only where the signature says `nullable`"


@pytest.fixture(scope="module", params=transports.ALL)
def linear(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    path: Path = tmp_path_factory.mktemp("packages") / "linear"
    with transports.serving(request.param, tiny_models.linear(path), max_body_bytes=LIMIT) as server:
        yield server
        assert not any("Traceback" in line for line in server.lines), server.lines


@pytest.fixture
def server(linear: Server) -> Iterator[Server]:
    """Give a server that still answers a good request after the test, with the same bits."""
    before = linear.ask(INFER, GOOD)
    assert before.status == 200
    yield linear
    assert linear.ask(INFER, GOOD).content == before.content


def x(data: Any, *, shape: Any = (1, 4), datatype: str = "FP32", **fields: Any) -> dict[str, Any]:
    return {"name": "x", "shape": shape, "datatype": datatype, "data": data, **fields}


def refused(answer: Answer, message: str, status: int = 400) -> None:
    assert answer.status == status, answer.content
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {"error": message}


def raw(server: Server, head: str, body: bytes) -> bytes:
    lines = f"POST {server.prefix}{INFER} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n{head}\r\n\r\n"
    return lines.encode("latin-1") + body


def talk(server: Server, data: bytes) -> bytes:
    """Send bytes as they are, and return all that comes back until the server closes the connection."""
    with socket.create_connection((server.host, server.port), timeout=30) as connection:
        connection.sendall(data)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    return received


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"inputs":[', "JSON: unexpected end (byte 11)"),
        (b'{"inputs" []}', "JSON: expected ':' (byte 10)"),
        (json.dumps(GOOD).encode() + b"]", "JSON: trailing characters (byte 89)"),
        (b"inputs=1", "JSON: invalid character (byte 0)"),
        (b"[]", "JSON: expected `object`, got `array`"),
    ],
)
def test_row_1_malformed_json_is_refused_with_its_position(server: Server, text: bytes, message: str) -> None:
    refused(server.ask(INFER, text), message)


def test_row_2_an_empty_body_is_refused(server: Server) -> None:
    refused(server.ask(INFER, b""), "body: expected JSON, got nothing")


def test_row_2_a_body_without_a_length_is_refused_with_411(server: Server) -> None:
    answer = talk(server, f"POST {server.prefix}{INFER} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 411 ")
    assert answer.endswith(b'{"error":"body: expected a `Content-Length` or chunks, got neither"}')


def test_row_2_a_body_in_chunks_is_accepted(server: Server) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, bytes([byte])) for byte in json.dumps(GOOD).encode())
    assert talk(server, raw(server, "transfer-encoding: chunked", chunks + b"0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_row_3_what_is_no_number_in_json_is_refused(server: Server, literal: str) -> None:
    text = json.dumps(GOOD).replace("2.5", literal).encode()
    answer = server.ask(INFER, text)
    assert answer.status == 400
    assert re.fullmatch(r"JSON: invalid (character|number) \(byte \d+\)", answer.json["error"])


def test_row_3_nan_and_infinity_in_bytes_are_refused(server: Server) -> None:
    for value, shown in ((np.nan, "NaN"), (np.inf, "Infinity"), (-np.inf, "-Infinity")):
        tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}
        text = json.dumps({"inputs": [tensor]}).encode()
        data = np.array([1, value, 3, 4], "<f4").tobytes()
        answer = server.ask(INFER, text + data, headers={LENGTH: str(len(text))})
        assert answer.status == 400
        assert answer.json["error"].startswith(f"input `x`: expected FP32, got {shown} at [0, 1]")


def test_row_4_a_number_out_of_range_is_refused(server: Server) -> None:
    text = json.dumps(GOOD).encode()
    refused(
        server.ask(INFER, text.replace(b"2.5", b"1e400")),
        "input `x`: expected `FP32`, got a number at [1] of `data` that is out of range",
    )
    refused(
        server.ask(INFER, text.replace(b"2.5", b"1e39")),
        "input `x`: expected FP32, got 1e+39 at [0, 1]: out of range",
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            None,
            f"input `x`: expected FP32, got null at [0, 1] ({NULLABLE})",
        ),
        (True, "input `x`: expected FP32, got true at [0, 1]"),
        ("2.5", 'input `x`: expected FP32, got "2.5" at [0, 1]'),
        ({}, "input `x`: expected FP32, got a dict at [0, 1]"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_row_5_what_is_no_number_is_named_with_its_index(
    server: Server, value: object, message: str, nested: bool
) -> None:
    values = [1, value, 3, 4]
    refused(server.ask(INFER, {"inputs": [x([values] if nested else values)]}), message)


@pytest.mark.parametrize("count", [0, 3, 5])
def test_row_6_too_few_and_too_many_values_are_refused(server: Server, count: int) -> None:
    refused(
        server.ask(INFER, {"inputs": [x([1] * count)]}),
        f"input `x`: expected 4 values for shape [1, 4], got {count}",
    )


@pytest.mark.parametrize("shape", [[1, 5], [5], [], [1, 4, 1], [2, 2]])
def test_row_7_a_wrong_width_or_rank_is_refused(server: Server, shape: list[int]) -> None:
    refused(
        server.ask(INFER, {"inputs": [x([1, 2, 3, 4], shape=shape)]}),
        f"input `x`: expected shape [-1, 4], got {shape} (a dimension of -1 accepts any length)",
    )


@pytest.mark.parametrize("datatype", ["FP64", "FP16", "INT64", "BYTES", "BF16", "fp32", ""])
def test_row_8_another_datatype_is_refused_and_never_cast(server: Server, datatype: str) -> None:
    refused(
        server.ask(INFER, {"inputs": [x([1, 2, 3, 4], datatype=datatype)]}),
        f"input `x`: expected FP32, got {datatype}",
    )


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([-1, 4], "input `x`: expected no dimension below 0, got [-1, 4]"),
        ([1, -4], "input `x`: expected no dimension below 0, got [1, -4]"),
        (
            [2**62, 4],
            "input `x`: expected 18446744073709551616 values for shape [4611686018427387904, 4], got 4",
        ),
        ([1] * 65, "input `x`: expected at most 64 dimensions, got 65"),
        ([10**17] * 90_000, "input `x`: expected at most 64 dimensions, got 90000"),
        ([2**63, 4], f"input `x`: expected no dimension above {2**63 - 1}, got [{2**63}, 4]"),
        ([10**4299, 4], f"input `x`: expected no dimension above {2**63 - 1}, got [{10**35}..."),
        ([2**62, 2**62], f"input `x`: expected shape [-1, 4], got [{2**62}, {2**62 // 10**3}..."),
        ([0, 4], "input `x`: expected 0 values for shape [0, 4], got 4"),
        ([1.5, 4], "JSON: expected `int`, got `float` - at `$.inputs[0].shape[0]`"),
        (None, "JSON: expected `array`, got `null` - at `$.inputs[0].shape`"),
    ],
)
def test_row_9_a_shape_that_cannot_be_is_refused(server: Server, shape: Any, message: str) -> None:
    answer = server.ask(INFER, {"inputs": [x([1, 2, 3, 4], shape=shape)]})
    assert answer.status == 400
    assert answer.json["error"].startswith(message[:60])


def test_row_9_no_rows_have_an_empty_answer(server: Server) -> None:
    answer = server.ask(INFER, {"inputs": [x([], shape=[0, 4])]})
    assert answer.status == 200
    assert answer.json["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [0, 3], "data": []}]


def test_row_10_missing_unknown_and_duplicate_inputs_are_refused(server: Server) -> None:
    good = x([1, 2, 3, 4])
    refused(server.ask(INFER, {"inputs": []}), "input `x`: expected a tensor, got none of that name")
    refused(server.ask(INFER, {"inputs": [good, {**good, "name": "z"}]}), "input `z`: expected one of `x`")
    refused(server.ask(INFER, {"inputs": [good, good]}), "input `x`: expected once, got twice")


def test_row_11_unknown_outputs_are_refused(server: Server) -> None:
    refused(server.ask(INFER, {**GOOD, "outputs": [{"name": "z"}]}), "output `z`: expected one of `y`")
    refused(server.ask(INFER, {**GOOD, "outputs": [{"name": "y"}] * 2}), "outputs: expected at most 1, got 2")


@own_server_alone  # it takes seconds, and no transport looks into it
def test_row_11_a_million_outputs_are_refused(server: Server) -> None:
    text = json.dumps(GOOD)[:-1] + ',"outputs":[' + ",".join(['{"name":"y"}'] * 1_000_000) + "]}"
    refused(server.ask(INFER, text.encode()), "outputs: expected at most 1, got 1000000")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b'{"inputs":[],"inputs":[]}', "inputs"),
        (b'{"inputs":[{"name":"x","shape":[1,4],"name":"x"}]}', "name"),
        (b'{"inputs":[],"parameters":{"a":1,"\\u0061":2}}', "a"),
    ],
)
def test_row_12_a_key_twice_is_refused(server: Server, text: bytes, key: str) -> None:
    answer = server.ask(INFER, text)
    assert answer.status == 400
    assert re.fullmatch(f"JSON: expected each key once, got `{key}` twice at byte \\d+", answer.json["error"])


@pytest.mark.parametrize("unit", [b"[", b'{"inputs":'])
def test_row_13_a_depth_of_100_000_is_refused_before_it_is_decoded(server: Server, unit: bytes) -> None:
    answer = server.ask(INFER, unit * 100_000)
    assert answer.status == 400
    assert re.fullmatch(r"JSON: expected at most 64 levels, got more at byte \d+", answer.json["error"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"id":"\xff\xfe"}', "JSON: expected UTF-8, got an invalid byte at 7"),
        (b'{"id":"\xed\xa0\x80"}', "JSON: expected UTF-8, got an invalid byte at 7"),
        (b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "JSON: expected a value at byte 0, got a byte order mark"),
        (json.dumps(GOOD).encode("utf-16"), "JSON: expected UTF-8, got an invalid byte at 0"),
        (b'{"id":"\\ud800","inputs":[]}', "JSON: unexpected end of escaped utf-16 surrogate pair (byte 13)"),
        (b'{"id":"\\ud800"}', "JSON: unexpected end of escaped utf-16 surrogate pair"),
    ],
)
def test_row_14_text_that_is_no_unicode_is_refused(server: Server, text: bytes, message: str) -> None:
    refused(server.ask(INFER, text), message)


def test_a_body_over_the_limit_is_refused_with_413_before_it_is_read(server: Server) -> None:
    head = f"POST {server.prefix}{INFER} HTTP/1.1\r\nhost: t\r\ncontent-length: {LIMIT + 1}\r\n\r\n".encode()
    with socket.create_connection((server.host, server.port), timeout=30) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


@own_server_alone
def test_a_client_that_sends_a_body_over_the_limit_to_its_end_reads_the_refusal(server: Server) -> None:
    answer = server.ask(INFER, b" " * (LIMIT + 1))
    refused(answer, f"body: expected at most {LIMIT} bytes, got {LIMIT + 1}", status=413)
    assert answer.headers["connection"] == "close"


@own_server_alone
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [("/v2/models", {}, 404), ("/v2", {}, 405), (INFER, {"content-encoding": "br"}, 415)],
)
def test_a_client_that_sends_a_body_that_nobody_wants_to_its_end_reads_the_refusal(
    server: Server, path: str, headers: dict[str, str], status: int
) -> None:
    answer = server.ask(path, b" " * (8 << 20), headers=headers)
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert set(answer.json) == {"error"}


@own_server_alone
def test_a_refusal_without_a_body_keeps_the_connection(server: Server) -> None:
    assert "connection" not in server.ask("/v2/models").headers
    assert "connection" not in server.ask("/v2", method="POST", body=b"").headers


def test_chunks_over_the_limit_are_refused_with_413(server: Server) -> None:
    chunk = b"%x\r\n%s\r\n" % (1 << 20, b" " * (1 << 20))
    answer = talk(server, raw(server, "transfer-encoding: chunked", chunk * 17 + b"0\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(f'{{"error":"body: expected at most {LIMIT} bytes, got more"}}'.encode())


def cut_off(server: Server, data: bytes) -> bytes:
    """Send bytes, end the sending half, and return all that comes back."""
    with socket.create_connection((server.host, server.port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_chunks_that_break_off_are_refused_though_what_came_is_whole_json(server: Server) -> None:
    body = json.dumps(GOOD).encode()
    chunk = b"%x\r\n%s\r\n" % (len(body), body)
    broken = talk(server, raw(server, "transfer-encoding: chunked", chunk + b"zz\r\n"))
    missing = cut_off(server, raw(server, "transfer-encoding: chunked", chunk))
    for answer in (broken, missing):
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.endswith(b'{"error":"body: expected chunks up to the last one, got broken or missing ones"}')
    assert talk(server, raw(server, "transfer-encoding: chunked", chunk + b"0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_ends_too_soon_is_the_clients_fault(server: Server) -> None:
    answer = cut_off(server, raw(server, "content-length: 100", b"{}"))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b'{"error":"body: expected 100 bytes, got fewer"}')


def test_headers_that_contradict_each_other_are_refused(server: Server) -> None:
    body = json.dumps(GOOD).encode()
    length = f"content-length: {len(body)}"
    for value in (f"{LENGTH}: {len(body)}\r\n{LENGTH}: 5", f"{LENGTH}: \xff\xfe"):
        answer = talk(server, raw(server, f"{length}\r\n{value}", body))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"header `Inference-Header-Content-Length`: expected 1 to" in answer
    for value in ("content-encoding: gzip\r\ncontent-encoding: gzip", "content-encoding: \xff"):
        assert talk(server, raw(server, f"{length}\r\n{value}", body)).startswith(b"HTTP/1.1 415 ")


def test_a_name_without_end_is_shown_shortened(server: Server) -> None:
    name = "n" * 1_000_000
    answer = server.ask(INFER, {"inputs": [{**x([1, 2, 3, 4]), "name": name}]})
    refused(answer, f"input `{'n' * 77}...`: expected one of `x`")


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "nonsense"])
def test_row_17_a_body_that_is_compressed_twice_or_otherwise_is_refused_with_415(server: Server, encoding: str) -> None:
    answer = server.ask(INFER, b"\x1f\x8b", headers={"content-encoding": encoding})
    refused(answer, f"body: expected it as gzip or uncompressed, got encoding `{encoding}`", status=415)
    assert answer.headers["accept-encoding"] == "gzip, identity"


@cache
def bomb() -> bytes:
    return gzip.compress(b" " * (200 << 20), 9)


def test_row_17_a_gzip_bomb_is_refused_with_413_and_a_gzip_body_is_scored(server: Server) -> None:
    answer = server.ask(INFER, bomb(), headers={"content-encoding": "gzip"})
    refused(answer, f"body: expected at most {16 << 20} bytes once inflated, got more", status=413)
    body = json.dumps({"inputs": [x([1, 2, 3, 4])]}).encode()
    plain = server.ask(INFER, body)
    assert server.ask(INFER, gzip.compress(body), headers={"content-encoding": "gzip"}).content == plain.content


def binary(**parameters: Any) -> bytes:
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": parameters}
    return json.dumps({"inputs": [tensor]}).encode()


@pytest.mark.parametrize("length", ["0", "-1", "1000000", "99999999999999999999", "twelve", "1.5", "0x10", "+5", ""])
def test_row_18_a_header_length_that_lies_is_refused(server: Server, length: str) -> None:
    body = binary(binary_data_size=16) + b"\x00" * 16
    refused(
        server.ask(INFER, body, headers={LENGTH: length}),
        f"header `Inference-Header-Content-Length`: expected 1 to {len(body)}, the bytes of the body, got `{length}`",
    )


def test_row_18_a_header_length_that_cuts_the_json_is_refused(server: Server) -> None:
    text = binary(binary_data_size=16)
    for cut in (-1, 1):
        answer = server.ask(INFER, text + b"\x00" * 16, headers={LENGTH: str(len(text) + cut)})
        assert answer.status == 400
        assert answer.json["error"].startswith("JSON: ")


@pytest.mark.parametrize(
    ("size", "sent", "message"),
    [
        (16, 12, "input `x`: expected a `binary_data_size` from 0 to 12, the bytes left, got `16`"),
        (16, 20, "body: expected it to end with the last tensor, got 4 bytes more"),
        (12, 12, "input `x`: expected 16 bytes for FP32 [1, 4], got 12"),
        (-16, 16, "input `x`: expected a `binary_data_size` from 0 to 16, the bytes left, got `-16`"),
        (2**64, 16, f"input `x`: expected a `binary_data_size` from 0 to 16, the bytes left, got `{2**64}`"),
    ],
)
def test_row_19_sizes_that_differ_from_the_body_are_refused(server: Server, size: int, sent: int, message: str) -> None:
    text = binary(binary_data_size=size)
    refused(server.ask(INFER, text + b"\x00" * sent, headers={LENGTH: str(len(text))}), message)


def test_row_20_a_string_that_claims_4_gigabytes_is_refused(tmp_path: Path) -> None:
    with servers.serving(tiny_models.table(tmp_path / "table")) as server:
        tensor = {"name": "city", "shape": [1, 1], "datatype": "BYTES", "parameters": {"binary_data_size": 8}}
        text = json.dumps({"inputs": [tensor]}).encode()
        answer = server.ask("/v2/models/table/infer", text + b"\xff\xff\xff\xffBern", headers={LENGTH: str(len(text))})
        refused(answer, "input `city`: expected a length of at most 4 at [0], got 4294967295")
        assert server.ask("/v2/health/ready").status == 200


def test_row_21_a_hundred_thousand_rows_in_one_request_are_answered(server: Server) -> None:
    rows = np.random.default_rng(3).normal(size=(100_000, 4)).astype("<f4")
    tensor = {"name": "x", "shape": [100_000, 4], "datatype": "FP32", "parameters": {"binary_data_size": rows.nbytes}}
    text = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    answer = server.ask(INFER, text + rows.tobytes(), headers={LENGTH: str(len(text))})
    assert answer.status == 200
    got = np.frombuffer(answer.content[int(answer.headers[LENGTH.lower()]) :], "<f4").reshape(-1, 3)
    one = server.ask(INFER, {"inputs": [x(rows[77_777].astype(float).tolist())]}).json["outputs"][0]["data"]
    assert got.shape == (100_000, 3)
    assert np.array(one, np.float32).tobytes() == got[77_777].tobytes()
