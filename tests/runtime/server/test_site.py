"""Whatever the transport, a request has one answer, and what it says of itself is believed no further than it fits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from adding import adding
from rsgi import Headers

from modelport.runtime import load
from modelport.runtime.dataplane import DataPlane, ModelSlot
from modelport.runtime.server.request import Head
from modelport.runtime.server.site import Site, Visit

if TYPE_CHECKING:
    from pathlib import Path

ROWS = b'[{"x": 0.5}]'
HOW = "by the header `azureml-model-deployment` or the path `/models/NAME/score`"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(DataPlane(ModelSlot(load(adding(tmp_path_factory.mktemp("packages") / "one", 1)))))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Site:
    home: Path = tmp_path_factory.mktemp("packages")
    kinds = (("wine", "2", 2), ("wine", "1", 1), ("beer", "1", 10))
    packages = [adding(home / f"{name}{version}", number, name, version) for name, version, number in kinds]
    return Site(DataPlane(*(ModelSlot(load(package)) for package in packages)))


def visit(site: Site, path: str, deployment: str | None = None, method: str = "POST") -> Visit:
    return site.visit(Head(method, path, "", Headers({"azureml-model-deployment": deployment} if deployment else {})))


@pytest.mark.parametrize(
    ("path", "deployment", "answer"),
    [
        ("/score", "wine", 2.5),
        ("/score", "wine:1", 1.5),
        ("/score", "beer", 10.5),
        ("/score", "beer:1", 10.5),
        ("/models/wine/score", None, 2.5),
        ("/models/wine/versions/1/score", None, 1.5),
        ("/models/wine/score", "beer", 2.5),  # the path says it
        ("/models/wine/versions/1/score", "wine:2", 1.5),
    ],
)
def test_of_several_models_the_path_or_the_header_chooses(
    several: Site, path: str, deployment: str | None, answer: float
) -> None:
    asked = visit(several, path, deployment)
    response = asked.answer(ROWS)
    assert (response.status, json.loads(response.body)) == (200, [{"y": answer}])
    assert asked.model == ("wine" if answer < 10 else "beer")


@pytest.mark.parametrize(
    ("path", "deployment", "status", "message"),
    [
        ("/score", None, 400, f"model: expected one of `wine`, `beer` to be named, got none ({HOW})"),
        ("/score", "ale", 404, "model: expected one of `wine`, `beer`, got `ale`"),
        ("/score", "wine:3", 404, "model `wine`: expected version one of `2`, `1`, got `3`"),
        ("/models/ale/score", "wine", 404, "model: expected one of `wine`, `beer`, got `ale`"),
    ],
)
def test_what_was_not_chosen_is_said(
    several: Site, path: str, deployment: str | None, status: int, message: str
) -> None:
    response = visit(several, path, deployment).answer(ROWS)
    assert (response.status, json.loads(response.body)) == (status, {"message": message})


@pytest.mark.parametrize("deployment", ["blue", "adding:7", "adding", ":"])
def test_where_there_is_one_model_the_header_chooses_nothing(one: Site, deployment: str) -> None:
    """Clients of Azure ML name a deployment by it, and proxies there pass it on."""
    response = visit(one, "/score", deployment).answer(ROWS)
    assert (response.status, json.loads(response.body)) == (200, [{"y": 1.5}])
    assert visit(one, "/swagger.json", deployment, "GET").answer().status == 200


def test_a_name_that_is_no_models_is_remembered_nowhere(one: Site, several: Site) -> None:
    """Whatever is kept by a model's name would grow with the names that clients think up."""
    asked = [visit(several, "/score", "ale"), visit(several, "/models/ale/score"), visit(one, "/v2/models/ale/infer")]
    assert [each.model for each in asked] == [None] * 3
    assert [each.served for each in asked] == [("", "")] * 3


@pytest.mark.parametrize("path", ["/score", "/score/", "/swagger.json", "/models/wine/score", "/models/x/swagger.json"])
def test_errors_of_azure_mls_paths_are_told_in_its_way(several: Site, path: str) -> None:
    response = visit(several, path, method="DELETE").answer()
    assert response.status == 405
    assert list(json.loads(response.body)) == ["message"]
    assert dict(response.headers)["x-ms-run-function-failed"] == "False"


@pytest.mark.parametrize("path", ["/", "/v2", "/v2/models/wine", "/scores", "/models/wine", "/nothing"])
def test_errors_of_other_paths_are_told_in_the_protocols_way(several: Site, path: str) -> None:
    response = visit(several, path, method="DELETE").answer()
    assert response.status in (404, 405)
    assert list(json.loads(response.body)) == ["error"]
    assert "x-ms-run-function-failed" not in dict(response.headers)
