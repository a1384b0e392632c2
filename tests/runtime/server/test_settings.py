"""Every setting has one name, one default and one place in the docs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from modelport.runtime.cli.serve import serve
from modelport.runtime.errors import InvalidSettingError
from modelport.runtime.settings import Settings, resolve, table

DOCS = Path(__file__).parents[3] / "docs" / "settings.md"
DIGEST = f"sha256:{'0a' * 32}"


def test_only_the_package_must_be_given() -> None:
    assert resolve({"package": "churn"}, {}) == Settings(package=("churn",))


def test_the_environment_is_read_and_a_flag_goes_before_it() -> None:
    environment = {
        "MODELPORT_PACKAGE": "churn",
        "MODELPORT_DIGEST": DIGEST,
        "MODELPORT_PORT": "9000",
        "MODELPORT_WORKERS": "4",
        "MODELPORT_PROVIDERS": " cuda, cpu",
        "MODELPORT_DRAIN_TIMEOUT": "2.5",
        "MODELPORT_LOG_FORMAT": "json",
        "MODELPORT_SOMETHING_ELSE": "1",
    }
    assert resolve({"port": "9001", "workers": None}, environment) == Settings(
        package=("churn",),
        digest=(DIGEST,),
        port=9001,
        workers=4,
        providers=("cuda", "cpu"),
        drain_timeout=2.5,
        log_format="json",
    )


def test_an_empty_variable_counts_as_not_set() -> None:
    assert resolve({"package": "churn"}, {"MODELPORT_DIGEST": "", "MODELPORT_PORT": ""}) == Settings(package=("churn",))


def test_all_that_cannot_be_is_named_at_once() -> None:
    flags = {"port": "65536", "drain_delay": "nan"}
    environment = {
        "MODELPORT_DIGEST": "sha256:1",
        "MODELPORT_WORKERS": "2.5",
        "MODELPORT_MAX_BODY_BYTES": "64 MiB",
        "MODELPORT_DRAIN_TIMEOUT": "inf",
        "MODELPORT_LOG_LEVEL": "loud",
    }
    message = """\
`PACKAGE` or `MODELPORT_PACKAGE`: expected a directory, got nothing
`MODELPORT_DIGEST`: expected `sha256:` and 64 hexadecimal digits, got `sha256:1`
`--port`: expected an integer from 0 to 65535, got `65536`
`MODELPORT_WORKERS`: expected an integer from 1 to 256, got `2.5`
`MODELPORT_MAX_BODY_BYTES`: expected an integer from 1 to 1099511627776, got `64 MiB`
`--drain-delay`: expected a number from 0 to 3600, got `nan`
`MODELPORT_DRAIN_TIMEOUT`: expected a number from 0 to 3600, got `inf`
`MODELPORT_LOG_LEVEL`: expected one of `debug`, `info`, `warning`, `error`, got `loud`"""
    with pytest.raises(InvalidSettingError, match=f"(?m)^{re.escape(message)}$"):
        resolve(flags, environment)


def test_several_packages_and_their_digests_are_given_with_commas_or_one_by_one() -> None:
    expected = Settings(package=("a", "b"), digest=(DIGEST, DIGEST))
    assert resolve({"package": ["a", "b"], "digest": f"{DIGEST},{DIGEST}"}, {}) == expected
    assert resolve({}, {"MODELPORT_PACKAGE": "a, b", "MODELPORT_DIGEST": f"{DIGEST}, {DIGEST}"}) == expected


def test_each_package_has_its_digest_or_none_has() -> None:
    message = r"(?m)^`--digest`: expected one for each of 2 packages, got 1$"
    with pytest.raises(InvalidSettingError, match=message):
        resolve({"package": "a,b", "digest": DIGEST}, {})


def test_keys_are_no_flag_and_no_error_shows_them() -> None:
    assert [setting.flag for setting in table() if setting.name == "keys"] == [""]
    message = (
        r"(?m)^`MODELPORT_KEYS`: expected one or two keys of 8 to 512 characters with a comma between, got others$"
    )
    with pytest.raises(InvalidSettingError, match=message):
        resolve({"package": "a"}, {"MODELPORT_KEYS": "secret1"})


def test_the_page_lists_every_setting_as_it_is() -> None:
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{setting.name}` | `{setting.variable}` | {f'`{setting.flag}`' if setting.flag else ''} |"
        f" {f'`{setting.default}`' if setting.default else ''} | {setting.meaning} |"
        for setting in table()
    ]


def test_the_command_has_a_flag_for_every_setting() -> None:
    assert list(inspect.signature(serve).parameters) == [setting.name for setting in table() if setting.flag]
