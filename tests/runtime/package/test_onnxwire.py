"""An ONNX file is read as protobuf's own parser would read it, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from outside_data import ADD, CONSTANT, PLACES, model, outside

from modelport.runtime.errors import InvalidPackageError
from modelport.runtime.package import onnxwire
from modelport.runtime.package.onnxwire import ExternalData, ModelFacts, read_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

DAMAGED = r"^`model.onnx`: expected an ONNX model, got other or damaged bytes \(.*\)$"


def field(number: int, wire: int, payload: bytes) -> bytes:
    return bytes([number << 3 | wire]) + payload


def text_field(number: int, text: bytes) -> bytes:
    return field(number, 2, bytes([len(text)]) + text)


def with_graph(graph: bytes) -> bytes:
    """Return a whole model around the bytes of a graph."""
    return field(1, 0, b"\x0a") + text_field(8, field(2, 0, b"\x15")) + text_field(7, graph)


def test_versions_and_references_are_read() -> None:
    made = model([ADD], [outside("c", offset="4", length="8")])
    expected = ModelFacts(10, {"": 21, "own": 1}, (ExternalData("weights.bin", 4, 8),))
    assert read_facts(made.SerializeToString()) == expected


def test_a_reference_without_offset_and_length_means_the_whole_file() -> None:
    made = model([ADD], [outside("c")])
    assert read_facts(made.SerializeToString()).external == (ExternalData("weights.bin", 0, -1),)


def test_a_model_without_external_data_has_no_references() -> None:
    made = model([ADD], [numpy_helper.from_array(CONSTANT, "c")])
    assert read_facts(made.SerializeToString()).external == ()


@pytest.mark.parametrize("missing", ["ir_version", "opset_import", "graph"])
def test_a_file_without_what_every_model_has_is_no_model(missing: str) -> None:
    made = model([ADD], [])
    made.ClearField(missing)
    message = r"(?m)^`m`: expected an ONNX model, got bytes without IR version, operator set or graph$"
    with pytest.raises(InvalidPackageError, match=message):
        read_facts(made.SerializeToString(), "m")


@pytest.mark.parametrize("data", [b"", b"\n", b"PK\x03\x04", b'{"a": 1}', b"\x80\x04N.", bytes(100), b"\xff" * 100])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidPackageError, match=r"(?m)^`model.onnx`: expected an ONNX model, got"):
        read_facts(data)


ENTRY = text_field(1, b"location") + text_field(2, b"/etc/pw")

AMBIGUOUS: dict[str, bytes] = {
    "a value of fixed width after the text": text_field(13, ENTRY + field(2, 1, b"weights8")),
    "an entry of fixed width": field(13, 1, b"12345678"),
    "an entry that is a number": field(13, 0, b"\x01"),
    "a location of fixed width": field(14, 5, b"\x01\0\0\0"),
    "a location beyond 32 bits": field(14, 0, b"\x81\x80\x80\x80\x10"),
    "a location beyond 64 bits": field(14, 0, b"\x81\x80\x80\x80\x80\x80\x80\x80\x80\x02"),
    "a location that is not known": field(14, 0, b"\x02"),
    "a number without end": field(14, 0, b"\x80" * 11),
    "a field number beyond 32 bits": b"\xf2\x80\x80\x80\x10\x01\x01",
    "one key twice": 2 * text_field(13, text_field(1, b"location") + text_field(2, b"weights.bin")),
    "a key that is no UTF-8": text_field(13, text_field(1, b"\xff\xfe")),
    "a group": field(13, 3, b"") + field(13, 4, b""),
    "field number 0": b"\x02\x00",
    "more bytes than there are": field(13, 2, b"\x7f"),
    "an unfinished number": field(1, 0, b"\x80"),
}


@pytest.mark.parametrize("tensor", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_bytes_that_two_decoders_could_read_in_two_ways_are_refused(tensor: bytes) -> None:
    with pytest.raises(InvalidPackageError, match=DAMAGED):
        read_facts(with_graph(text_field(5, tensor)))


@pytest.mark.parametrize(("number", "wire"), [(1, 1), (5, 0), (15, 5)])
def test_a_message_that_is_none_is_refused(number: int, wire: int) -> None:
    with pytest.raises(InvalidPackageError, match=DAMAGED):
        read_facts(with_graph(field(number, wire, b"\x01" * (1 if wire == 0 else 8 if wire == 1 else 4))))


def test_both_halves_of_a_message_that_comes_twice_are_read() -> None:
    """Protobuf merges them into one; each half must stand for itself."""
    first, second = outside("c"), TensorProto()
    second.external_data.add(key="location", value="../secret")
    attribute = text_field(5, first.SerializeToString()) + text_field(5, second.SerializeToString())
    found = read_facts(with_graph(text_field(1, text_field(5, attribute)))).external
    assert [reference.location for reference in found] == ["weights.bin", "../secret"]


def test_both_graphs_of_a_model_that_has_two_are_read() -> None:
    first, second = (model([ADD], [outside("c", place)]) for place in ("weights.bin", "../secret"))
    found = read_facts(first.SerializeToString() + second.SerializeToString()).external
    assert [reference.location for reference in found] == ["weights.bin", "../secret"]


def test_a_reference_behind_millions_of_numbers_is_found() -> None:
    """Runs of numbers in attributes are passed over in one go."""
    node = helper.make_node("Odd", [], ["c"], domain="own")
    for name, values in {"ints": range(-2, 300_000), "floats": [0.5] * 300_000}.items():
        node.attribute.append(helper.make_attribute(name, list(values)))
    node.attribute.append(helper.make_attribute("hidden", outside("c", "../secret")))
    found = read_facts(model([node], []).SerializeToString()).external
    assert found == (ExternalData("../secret", 0, -1, nested=True),)


def test_a_nest_of_graphs_without_end_is_refused() -> None:
    inner = b""
    for _ in range(300):  # node, attribute, graph, node, ...
        for number in (6, 5, 1):
            size = len(inner)
            inner = bytes([number << 3 | 2]) + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + inner
    whole = field(1, 0, b"\x0a") + text_field(8, field(2, 0, b"\x15"))
    size = len(inner)
    whole += b"\x3a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + inner
    with pytest.raises(InvalidPackageError, match=r"\(more than 200 levels\)$"):
        read_facts(whole)


def tensors(message: Message) -> Iterator[Any]:
    """Yield every TensorProto below a message, by protobuf's own reflection: slow and obviously right."""
    if isinstance(message, TensorProto):
        yield message
    for descriptor, value in message.ListFields():
        if descriptor.type == descriptor.TYPE_MESSAGE:
            for inner in value if descriptor.is_repeated else [value]:
                yield from tensors(inner)


def check_against_protobuf(data: bytes) -> None:
    """Whatever protobuf makes of the bytes, we have seen each of its references, or refused the whole."""
    try:
        facts = read_facts(data)
    except InvalidPackageError:
        return
    try:
        parsed = onnx.load_from_string(data)
    except DecodeError:
        return
    for tensor in tensors(parsed):
        if tensor.external_data or tensor.data_location == TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            assert entries.get("location", "") in {reference.location for reference in facts.external}
    assert facts.ir_version == parsed.ir_version
    assert facts.opsets == {entry.domain: entry.version for entry in parsed.opset_import}


SEEDS = [place(outside("c", "w" * 9, offset="4")).SerializeToString() for place in PLACES]


@given(st.sampled_from(SEEDS))
def test_an_unchanged_model_is_read_as_protobuf_reads_it(seed: bytes) -> None:
    assert read_facts(seed).external
    check_against_protobuf(seed)


@given(st.binary(max_size=200))
@example(b"\x3a\x00\x08\x01")
def test_random_bytes_give_facts_or_an_error_of_ours(data: bytes) -> None:
    check_against_protobuf(data)


Edit = tuple[str, int, int]
EDITS = st.sampled_from(["set", "flip", "insert", "drop", "repeat"])


@settings(max_examples=1000)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(EDITS, st.integers(0), st.integers(0, 255)), max_size=4),
)
def test_damaged_models_give_facts_or_an_error_of_ours(seed: bytes, edits: list[Edit]) -> None:
    data = bytearray(seed)
    for kind, place, value in edits:
        at = place % (len(data) or 1)
        if kind == "set" and data:
            data[at] = value
        elif kind == "flip" and data:
            data[at] ^= 1 << value % 8
        elif kind == "insert":
            data.insert(at, value)
        elif kind == "drop":
            del data[at : at + value % 8 + 1]
        else:
            data[at:at] = data[at : at + value]
    check_against_protobuf(bytes(data))


FIELDS = st.deferred(lambda: st.lists(st.one_of(SCALARS, MESSAGES), max_size=4).map(b"".join))
SCALARS = st.builds(
    lambda number, wire, value: bytes([number << 3 | wire]) + value[: {0: 1, 1: 8, 5: 4}[wire]].ljust(1, b"\0"),
    st.sampled_from([1, 2, 5, 13, 14]),
    st.sampled_from([0, 1, 5]),
    st.sampled_from([b"\x01weights", b"\x00\x00\x00\x00\x00\x00\x00\x00"]),
)
TEXTS = st.sampled_from([b"location", b"../x", b"offset", b"1"])
MESSAGES = st.builds(
    lambda number, content: bytes([number << 3 | 2, len(content) & 0x7F]) + content,
    st.sampled_from([1, 2, 5, 6, 7, 11, 13]),
    st.one_of(TEXTS, FIELDS),
)


@settings(max_examples=500)
@given(FIELDS)
def test_fields_that_make_no_sense_give_facts_or_an_error_of_ours(fields: bytes) -> None:
    if len(fields) < 0x80:
        check_against_protobuf(with_graph(fields))


def test_a_place_is_one_of_all_that_onnx_knows() -> None:
    """Should onnx learn of another field that leads to a tensor, this names it, and `_FIELDS` needs it."""
    names = {
        "model": onnx.ModelProto,
        "training": onnx.TrainingInfoProto,
        "function": onnx.FunctionProto,
        "graph": onnx.GraphProto,
        "node": onnx.NodeProto,
        "attribute": onnx.AttributeProto,
        "sparse": onnx.SparseTensorProto,
        "tensor": TensorProto,
    }
    kinds = {proto.DESCRIPTOR.full_name: name for name, proto in names.items()}
    for name, proto in names.items():
        known = {
            descriptor.number: kinds[descriptor.message_type.full_name]
            for descriptor in proto.DESCRIPTOR.fields
            if descriptor.message_type is not None and descriptor.message_type.full_name in kinds
        }
        assert onnxwire._FIELDS.get(name, {}) == known, name
