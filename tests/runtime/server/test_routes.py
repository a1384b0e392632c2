"""Each path of the protocol leads to its endpoint, with one method or the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.runtime.errors import UnknownNameError
from modelport.runtime.package.manifest import NAME
from modelport.runtime.server.errors import MethodNotAllowedError
from modelport.runtime.server.routes import Route, find

PATHS = {
    "/": Route("home"),
    "/swagger.json": Route("swagger"),
    "/docs": Route("docs"),
    "/console": Route("console"),
    "/metrics": Route("metrics"),
    "/models/m/swagger.json": Route("swagger", "m"),
    "/models/m/versions/1/swagger.json": Route("swagger", "m", "1"),
    "/v2": Route("server"),
    "/v2/health/live": Route("live"),
    "/v2/health/ready": Route("ready"),
    "/v2/models/m": Route("model", "m"),
    "/v2/models/m/ready": Route("model ready", "m"),
    "/v2/models/m/versions/1": Route("model", "m", "1"),
    "/v2/models/m/versions/1/ready": Route("model ready", "m", "1"),
}


@pytest.mark.parametrize("end", ["", "/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("path", "route"), PATHS.items())
def test_what_is_read_is_found(method: str, path: str, end: str, route: Route) -> None:
    assert find(method, path if path == "/" else path + end) == route


@pytest.mark.parametrize("path", ["/v2/models/m/infer", "/v2/models/m/infer/"])
def test_inference_is_posted(path: str) -> None:
    assert find("POST", path) == Route("infer", "m")


@given(st.from_regex(NAME, fullmatch=True), st.from_regex(NAME, fullmatch=True))
def test_every_name_and_version_of_a_package_has_its_path(name: str, version: str) -> None:
    assert find("POST", f"/v2/models/{name}/versions/{version}/infer") == Route("infer", name, version)


@pytest.mark.parametrize(
    "path",
    [
        *("", "/v1", "//v2", "v2", "/V2", "/v2//", "/v2/health", "/v2/models", "/v2/models/", "/v2/models//infer"),
        *("/v2/models/m/versions", "/v2/models/m/versions/", "/v2/models/m/infer/x", "/v2/models/a/b/ready"),
        *("/v2/models/m/stats", "/v2/models/m\n/x"),
    ],
)
def test_another_path_is_not_there(path: str) -> None:
    with pytest.raises(UnknownNameError, match=r"(?m)^path: expected one that the server has, got `.*`$"):
        find("GET", path)


def test_a_path_of_any_length_does_not_fill_the_message() -> None:
    with pytest.raises(UnknownNameError) as caught:
        find("GET", "/v2/" + "a" * 10_000)
    assert len(caught.value.message) < 200


def test_another_method_is_refused_with_those_that_there_are() -> None:
    message = r"(?m)^path `/v2/models/m/infer`: expected POST, got `GET`$"
    with pytest.raises(MethodNotAllowedError, match=message) as caught:
        find("GET", "/v2/models/m/infer")
    assert caught.value.allowed == ("POST",)
    with pytest.raises(MethodNotAllowedError, match=r"(?m)^path `/v2`: expected GET or HEAD, got `DELETE`$"):
        find("DELETE", "/v2")
