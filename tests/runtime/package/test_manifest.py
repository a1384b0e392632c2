"""The manifest has one canonical text, and nothing in it is believed that a reader could trip over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import sealed
import tiny_models
from hypothesis import given
from hypothesis import strategies as st

from modelport.runtime import strictjson
from modelport.runtime.errors import InvalidInputError, InvalidPackageError
from modelport.runtime.package import check_name, digest_line, digest_of, open_package
from modelport.runtime.package.manifest import Manifest, decode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Written by hand. It must never change: every package of format version 1 in the world depends on it.
VERSION_1 = (
    b'{"contract":"float32","cpu":"x86_64:avx2","deterministic":true,"execution":{"pad":true,"threads":1},'
    b'"files":{"model.onnx":{"role":"model","sha256":"' + b"0" * 64 + b'","size":12},'
    b'"samples.npz":{"role":"samples","sha256":"' + b"f" * 64 + b'","size":34}},'
    b'"format_version":1,"name":"churn","producer":{"framework":"scikit-learn","model":"Pipeline",'
    b'"versions":{"numpy":"2.0.0"}},"proof":{"accepted":false,"kind":"trained","label_mismatches":0,'
    b'"max_absolute":1.1920928955078125e-7,"max_relative":0.0,"passed":true,"rows":1000,"rows_over_tolerance":0,'
    b'"ties":0},"requires":{"ir_version":10,"onnxruntime":"1.30","opsets":{"":21,"ai.onnx.ml":5}},'
    b'"signature":{"inputs":[{"categories":["Bern","Z\xc3\xbcrich"],"closed":true,"datatype":"BYTES","name":"city",'
    b'"null":"","nullable":true,"shape":[-1,1]}],"outputs":[{"datatype":"INT64","labels":[0,1],"name":"label",'
    b'"shape":[-1]}],"rows_identical":true},"version":"1"}\n'
)


def document() -> Any:
    return msgspec.json.decode(VERSION_1)


def changed(change: Callable[[Any], None]) -> bytes:
    made = document()
    change(made)
    return strictjson.canonical(made)


def put(*path: str | int, value: object) -> Callable[[Any], None]:
    """Return the change that sets what lies at `path`."""

    def change(made: Any) -> None:
        for step in path[:-1]:
            made = made[step]
        made[path[-1]] = value

    return change


def test_a_manifest_of_version_1_is_read_and_written_back_to_the_very_bytes() -> None:
    manifest = decode(VERSION_1)
    assert manifest.name == "churn"
    assert manifest.signature.inputs[0].categories == ("Bern", "Zürich")
    assert manifest.proof.max_absolute == 2**-23
    assert manifest.encode() == VERSION_1
    assert digest_of(VERSION_1) == "sha256:5205ecc4f9a41e15761f0cac8c99bdbf31c8670ee0641c5af6c430fd70430159"


def test_the_digest_file_is_what_sha256sum_reads() -> None:
    assert digest_line(VERSION_1) == digest_of(VERSION_1).removeprefix("sha256:").encode() + b"  manifest.json\n"


NOT_CANONICAL = {
    "spaces": VERSION_1.replace(b":", b": ", 1),
    "no newline": VERSION_1.rstrip(),
    "two newlines": VERSION_1 + b"\n",
    "another order": VERSION_1.replace(b'"passed":true,"rows":1000', b'"rows":1000,"passed":true'),
    "escapes": VERSION_1.replace("ü".encode(), b"\\u00fc"),
    "an escaped key": VERSION_1.replace(b'"name":"churn"', b'"n\\u0061me":"churn"'),
    "another number": VERSION_1.replace(b"1.1920928955078125e-7", b"0.00000011920928955078125"),
    "a whole number": VERSION_1.replace(b'"max_relative":0.0', b'"max_relative":0'),
    "a negative zero": VERSION_1.replace(b'"size":12', b'"size":-0'),
    "a default": VERSION_1.replace(b'"rows_identical":true', b'"batch":"rows","rows_identical":true'),
}


@pytest.mark.parametrize("text", NOT_CANONICAL.values(), ids=NOT_CANONICAL)
def test_the_same_content_written_otherwise_is_refused(text: bytes) -> None:
    assert text != VERSION_1
    message = r"(?m)^manifest: expected canonical JSON, got the same content written otherwise$"
    with pytest.raises(InvalidPackageError, match=message):
        decode(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "manifest: unexpected end (byte 0)"),
        (b"[]", "manifest: expected `object`, got `array`"),
        (b"{}\n", "manifest: object missing required field `format_version`"),
        (VERSION_1[:-3], "manifest: unexpected end (byte 986)"),
        (VERSION_1 + b"{}", "manifest: trailing characters (byte 990)"),
        (b"\xef\xbb\xbf" + VERSION_1, "manifest: expected a value at byte 0, got a byte order mark"),
        (b'{"a":"\xff"}', "manifest: expected UTF-8, got an invalid byte at 6"),
        (b'{"a":NaN}', "manifest: invalid character (byte 5)"),
        (b'{"a":1,"a":2}', "manifest: expected each key once, got `a` twice at byte 7"),
        (b'{"a":1,"\\u0061":2}', "manifest: expected each key once, got `a` twice at byte 7"),
        (b"[" * 100_000, "manifest: expected at most 64 levels, got more at byte 64"),
        (b'{"a":' * 100_000, "manifest: expected at most 64 levels, got more at byte 320"),
        (b'{"format_version":1e400}', "manifest: number out of range - at `$.format_version`"),
        (b'{"format_version":true}', "manifest: expected `int`, got `bool` - at `$.format_version`"),
        (b'{"format_version":"1"}', "manifest: expected `int`, got `str` - at `$.format_version`"),
        (b'{"format_version":0}', "manifest: expected format version 1, got 0"),
        (b'{"format_version":2}', "manifest: expected format version 1, got 2"),
        (b'{"format_version":1%s}' % (b"0" * 100), f"manifest: expected format version 1, got 1{'0' * 36}..."),
    ],
)
def test_what_is_no_manifest_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(InvalidPackageError, match=f"(?m)^{re.escape(message)}$"):
        decode(text)


def test_a_later_format_says_to_install_a_later_modelport() -> None:
    with pytest.raises(InvalidPackageError) as caught:
        decode(changed(put("format_version", value=2)))
    assert caught.value.hint == "install a newer modelport"


UNKNOWN = [(), ("execution",), ("producer",), ("requires",), ("proof",), ("signature",), ("files", "model.onnx")]


@pytest.mark.parametrize("path", [*UNKNOWN, ("signature", "inputs", 0)])
def test_a_field_that_is_not_known_is_refused_wherever_it_stands(path: tuple[str | int, ...]) -> None:
    with pytest.raises(InvalidPackageError, match=r"(?m)^manifest: object contains unknown field `novelty`"):
        decode(changed(put(*path, "novelty", value=1)))


@pytest.mark.parametrize("field", [name for name in document() if name != "format_version"])
def test_a_field_that_is_missing_is_named(field: str) -> None:
    with pytest.raises(InvalidPackageError, match=f"(?m)^manifest: object missing required field `{field}`"):
        decode(changed(lambda made: made.pop(field)))


BAD_NAMES = {
    "empty": "",
    "a dot first": ".churn",
    "dots": "..",
    "a dash first": "-churn",
    "a slash": "a/b",
    "a space": "a b",
    "a newline after it": "churn\n",
    "a NUL": "a\0b",
    "too long": "a" * 129,
    "a letter that looks like another": "сhurn",  # noqa: RUF001  Cyrillic
    "a percent sign": "%2e%2e",
}


@pytest.mark.parametrize("field", ["name", "version"])
@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_bad_names_and_versions_are_refused(field: str, name: str) -> None:
    rule = "expected 1 to 128 letters, digits, `.`, `_`, `+` or `-`, the first a letter or digit, got `"
    with pytest.raises(InvalidPackageError, match=f"(?m)^{re.escape(f'manifest: {field}: {rule}')}.*`$") as caught:
        decode(changed(put(field, value=name)))
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("name", ["a", "0", "Churn-2.1_b+c", "a" * 128, "a..b", "A."])
def test_good_names_pass(name: str) -> None:
    check_name("name", name)
    assert decode(changed(put("name", value=name))).name == name


@given(st.text(max_size=10))
def test_a_name_that_passes_is_safe_as_a_file_and_in_a_url(name: str) -> None:
    try:
        check_name("name", name)
    except InvalidInputError:
        return
    assert name.isascii()
    assert not set(name) & set("/\\%?#&: \n\0")
    assert name[0].isalnum()


BAD_FILES = {
    "absolute": "/etc/passwd",
    "the parent": "../x",
    "up and down": "a/../../x",
    "a dot": "./x",
    "hidden": ".x",
    "a hidden directory": ".git/config",
    "two slashes": "a//b",
    "a slash after it": "a/",
    "empty": "",
    "a backslash": "a\\b",
    "a drive": "C:x",
    "a NUL": "a\0",
    "a newline": "a\n",
    "not ASCII": "modèle.onnx",
    "too long": "a" * 129,
    "too deep": "/".join("a" * 17),
    "the manifest": "manifest.json",
    "the digest": "manifest.sha256",
}
ENTRY = {"role": "resources", "sha256": "0" * 64, "size": 0}


@pytest.mark.parametrize("name", BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file_names_are_refused(name: str) -> None:
    message = r"(?m)^manifest: expected a plain relative file name, got `.*`$"
    with pytest.raises(InvalidPackageError, match=message) as caught:
        decode(changed(put("files", name, value=ENTRY)))
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["A.txt", "a.txt"], "manifest: expected names that differ by more than case, got `A.txt` and `a.txt`"),
        (["Model.onnx"], "manifest: expected names that differ by more than case, got `Model.onnx` and `model.onnx`"),
        (["MANIFEST.json"], "manifest: expected names that differ by more than case, got `manifest.json` and "),
        (["a", "a/b"], "manifest: expected `a` to be a file, got `a/b` in it"),
        (["A/x", "a"], "manifest: expected `a` to be a file, got `A/x` in it"),
        (["model.onnx/data"], "manifest: expected `model.onnx` to be a file, got `model.onnx/data` in it"),
    ],
)
def test_names_that_no_file_system_holds_side_by_side_are_refused(names: list[str], message: str) -> None:
    text = changed(lambda made: made["files"].update(dict.fromkeys(names, ENTRY)))
    with pytest.raises(InvalidPackageError, match=f"(?m)^{re.escape(message)}"):
        decode(text)


ENTRY_RULE = "expected a size and a SHA-256 for `model.onnx`"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("execution", "threads", value=0), "expected 1 to 1024 threads, got 0"),
        (put("execution", "threads", value=10**30), "expected 1 to 1024 threads, got 1000000000000000000000000000000"),
        (
            put("files", "model.onnx", "size", value=-1),
            f"expected a size and a SHA-256 for `model.onnx`, got -1 and `{'0' * 64}`",
        ),
        (
            put("files", "model.onnx", "sha256", value="0"),
            "expected a size and a SHA-256 for `model.onnx`, got 12 and `0`",
        ),
        (put("files", "model.onnx", "role", value="other"), "invalid enum value 'other' - at `$.files[...].role`"),
        (put("files", "model.onnx", "role", value="samples"), "expected one file of role `model`, got 0"),
        (put("files", "samples.npz", "role", value="model"), "expected one file of role `model`, got 2"),
        (put("files", "samples.npz", "role", value="script"), "expected one file of role `samples`, got 0"),
        (put("contract", value="float16"), "invalid enum value 'float16' - at `$.contract`"),
        (put("proof", "kind", value="hope"), "invalid enum value 'hope' - at `$.proof.kind`"),
        (put("proof", "rows", value=1.5), "expected `int`, got `float` - at `$.proof.rows`"),
        *(
            (put("proof", key, value=value), "proof: expected at least one row and no number below 0, got others")
            for key, value in {
                "rows": -1,
                "label_mismatches": -1,
                "ties": -1,
                "rows_over_tolerance": -1,
                "max_absolute": -0.5,
                "max_relative": -0.5,
            }.items()
        ),
        (put("proof", "rows", value=0), "proof: expected at least one row and no number below 0, got others"),
        (put("proof", "passed", value=False), "proof: expected to be either passed or accepted, got neither"),
        (put("proof", "accepted", value=True), "proof: expected to be either passed or accepted, got both"),
        *(
            (put("requires", "onnxruntime", value=text), f"expected the oldest ONNX Runtime as `1.20`, got `{text}`")
            for text in ("", "1", "new", "1.20 or newer", "1.20rc1")
        ),
        (
            put("signature", "batch", value="none"),
            "expected `rows_identical` with batch `rows`, and with no other, got otherwise",
        ),
        (put("signature", "batch", value="some"), "expected batch `rows`, `none` or `fixed:N`, got `some`"),
        (put("signature", "batch", value="fixed:0"), "expected batch `rows`, `none` or `fixed:N`, got `fixed:0`"),
        (put("signature", "inputs", value=[]), "expected at least one input, got none"),
        (put("signature", "outputs", value=[]), "expected at least one output, got none"),
    ],
)
def test_values_that_cannot_be_are_refused(change: Callable[[Any], None], message: str) -> None:
    with pytest.raises(InvalidPackageError, match=f"(?m)^{re.escape(f'manifest: {message}')}$"):
        decode(changed(change))


def test_two_inputs_of_one_name_are_refused() -> None:
    def twice(made: Any) -> None:
        made["signature"]["inputs"] *= 2

    message = "(?m)^manifest: expected inputs of different names, got one name twice$"
    with pytest.raises(InvalidPackageError, match=message):
        decode(changed(twice))


def with_input(batch: str = "rows", **fields: object) -> bytes:
    spec = {"datatype": "FP32", "name": "x", "shape": [-1, 2], **fields}
    output = {"datatype": "FP32", "name": "y", "shape": [-1] if batch == "rows" else []}
    signature = {"inputs": [spec], "outputs": [output]}
    return changed(put("signature", value=signature if batch == "rows" else {"batch": batch, **signature}))


SIZES = "expected sizes from -1 up, at most 1099511627776 elements"
NULLABLE = "expected only floats, and text with a `null`, to be nullable"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (with_input(shape=[-1, -2]), f"{SIZES}, got [-1, -2]"),
        (
            with_input(shape=[-1, 2**41]),
            f"{SIZES}, got [-1, 2199023255552]",
        ),
        (with_input(shape=[-1, 2**21, 2**21]), f"{SIZES}, got "),
        (with_input(shape=[-1, 10**40]), f"{SIZES}, got "),
        (with_input(shape=[5, 2]), "expected -1 as first dimension, got [5, 2]"),
        (with_input(shape=[]), "expected -1 as first dimension, got []"),
        (with_input("fixed:4", shape=[5, 2]), "expected 4 as first dimension, got [5, 2]"),
        (with_input(closed=True), "expected categories where the list is closed, got none"),
        (with_input(labels=["a", "b", "c"]), "expected a label for each of 2 columns, got 3"),
        (with_input(features=["a"]), "expected one feature a column, got 1 for shape [-1, 2]"),
        (with_input(features=["a", "a"]), "expected one feature a column, got 2 for shape [-1, 2]"),
        (with_input("none", shape=[], features=["a"]), "expected one feature a column, got 1 for shape []"),
        (
            with_input(datatype="INT64", nullable=True),
            f"{NULLABLE}, got INT64",
        ),
        (
            with_input(datatype="BYTES", nullable=True),
            f"{NULLABLE}, got BYTES",
        ),
    ],
)
def test_a_signature_that_contradicts_itself_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(InvalidPackageError, match=f"(?m)^{re.escape(f'manifest: input `x`: {message}')}"):
        decode(text)


@pytest.mark.parametrize("shape", [[], [0], [-1, -1], [3, 4]])
def test_a_model_without_rows_may_have_any_shape(shape: list[int]) -> None:
    assert decode(with_input("none", shape=shape)).signature.batch == "none"


def test_files_are_found_by_role() -> None:
    manifest = decode(changed(lambda made: made["files"].update({"b": ENTRY, "a": ENTRY})))
    assert manifest.names("resources") == ("a", "b")
    assert manifest.name_of("model") == "model.onnx"
    with pytest.raises(InvalidPackageError, match=r"(?m)^manifest: expected one file of role `resources`, got 2$"):
        manifest.name_of("resources")


def test_keys_are_sorted_by_their_code_points() -> None:
    keys = {"\uffff": 1, "\U0001f600": 2, "a": 3, "Z": 4, "": 5}
    assert list(msgspec.json.decode(strictjson.canonical(keys))) == ["", "Z", "a", "\uffff", "\U0001f600"]


def test_nothing_in_a_manifest_tells_when_or_where_it_was_made(tmp_path: Path) -> None:
    package = open_package(tiny_models.table(tmp_path / "package"))
    assert str(tmp_path) not in package.manifest.encode().decode()
    fields = {field.name for field in msgspec.structs.fields(Manifest)}
    assert not {name for name in fields if re.search(r"time|date|host|user|path", name)}


def test_a_manifest_that_is_sealed_but_wrong_is_refused_when_the_package_opens(tmp_path: Path) -> None:
    package = tiny_models.linear(tmp_path / "package")
    sealed.seal(package, change=put("execution", "threads", value=0))
    with pytest.raises(InvalidPackageError, match=r"(?m)^manifest: expected 1 to 1024 threads, got 0$"):
        open_package(package)


@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_refused_in_our_words(text: bytes) -> None:
    with pytest.raises(InvalidPackageError):
        decode(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PATHS = [
    ("name",),
    ("signature",),
    ("signature", "inputs"),
    ("signature", "inputs", 0, "shape"),
    ("files",),
    ("proof",),
]


@given(st.sampled_from(PATHS), JSON)
def test_any_value_anywhere_is_read_or_refused_in_our_words(path: tuple[str | int, ...], value: object) -> None:
    text = changed(put(*path, value=value))
    try:
        assert decode(text).encode() == text
    except InvalidPackageError as error:
        error.message.encode()
