"""Of several models, and several versions of one, each request finds the one that it means, and the others never."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from adding import adding

from modelport.runtime import load
from modelport.runtime.dataplane import DataPlane, ModelSlot, Served
from modelport.runtime.errors import InvalidInputError, ModelportError, NotReadyError, UnknownNameError
from modelport.runtime.protocol import InferRequest, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelport.runtime import Scorer

MODELS = {("wine", "2"): 2.0, ("wine", "1"): 1.0, ("beer", "1"): 10.0, ("beer", "2024-01"): 20.0}


@pytest.fixture(scope="module")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Scorer]:
    home = tmp_path_factory.mktemp("packages")
    return [
        load(adding(home / f"{name}-{version}", number, name, version)) for (name, version), number in MODELS.items()
    ]


@pytest.fixture
def plane(scorers: Sequence[Scorer]) -> DataPlane:
    return DataPlane(*map(ModelSlot, scorers))


def refused(error: type[ModelportError], message: str) -> Any:
    return pytest.raises(error, match=f"(?m)^{re.escape(message)}$")


def request(model: str, version: str | None = None) -> InferRequest:
    tensor = Tensor(name="x", datatype="FP64", shape=(1,), data=np.array([0.5]))
    return InferRequest(model=model, version=version, inputs=(tensor,))


@pytest.mark.parametrize(("name", "version"), MODELS)
def test_a_model_is_found_by_name_and_version(plane: DataPlane, name: str, version: str) -> None:
    scorer = plane.scorer(name, version)
    assert (scorer.manifest.name, scorer.manifest.version) == (name, version)
    answer = plane.infer(request(name, version))
    assert (answer.model, answer.version) == (name, version)
    assert np.asarray(answer.outputs[0].data) == [0.5 + MODELS[name, version]]
    assert plane.run(b'[{"x": 0.5}]', None, name, version) == [{"y": 0.5 + MODELS[name, version]}]


@pytest.mark.parametrize(("name", "version"), [("wine", "2"), ("beer", "1")])
def test_of_several_versions_the_first_is_the_default(plane: DataPlane, name: str, version: str) -> None:
    assert plane.scorer(name).manifest.version == version
    assert plane.infer(request(name)).version == version
    assert plane.run(b'{"x": 0.5}', None, name) == {"y": 0.5 + MODELS[name, version]}


def test_one_must_be_named_where_there_are_several(plane: DataPlane) -> None:
    with refused(InvalidInputError, "model: expected one of `wine`, `beer` to be named, got none") as caught:
        plane.scorer()
    assert caught.value.hint == "by the header `azureml-model-deployment` or the path `/models/NAME/score`"
    with refused(InvalidInputError, "model: expected one of `wine`, `beer` to be named, got none"):
        plane.run(b'{"x": 1}', None)


def test_several_versions_of_one_name_have_that_name(scorers: Sequence[Scorer]) -> None:
    with refused(InvalidInputError, "model: expected `wine` to be named, got none"):
        DataPlane(*map(ModelSlot, scorers[:2])).scorer()


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("Wine", None, "model: expected one of `wine`, `beer`, got `Wine`"),
        ("", None, "model: expected one of `wine`, `beer`, got ``"),
        ("wine\n", "1", "model: expected one of `wine`, `beer`, got `wine\\n`"),
        ("w" * 100, None, f"model: expected one of `wine`, `beer`, got `{'w' * 77}...`"),
        ("wine", "3", "model `wine`: expected version one of `2`, `1`, got `3`"),
        ("beer", "2", "model `beer`: expected version one of `1`, `2024-01`, got `2`"),
        ("beer", "", "model `beer`: expected version one of `1`, `2024-01`, got ``"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(
    plane: DataPlane, name: str, version: str | None, message: str
) -> None:
    for ask in (plane.scorer, plane.require_ready, plane.metadata, lambda *names: plane.run(b"[]", None, *names)):
        with refused(UnknownNameError, message):
            ask(name, version)
    with refused(UnknownNameError, message):
        plane.infer(request(name, version))


def test_the_only_model_needs_no_name_and_answers_to_its_own(scorers: Sequence[Scorer]) -> None:
    plane = DataPlane(ModelSlot(scorers[0]))
    assert plane.scorer() is plane.scorer("wine") is plane.scorer("wine", "2") is scorers[0]
    with refused(UnknownNameError, "model: expected `wine`, got `beer`"):
        plane.scorer("beer")
    with refused(UnknownNameError, "model `wine`: expected version `2`, got `1`"):
        plane.scorer("wine", "1")


def test_metadata_lists_the_versions_of_the_name(plane: DataPlane) -> None:
    assert plane.metadata("wine").versions == plane.metadata("wine", "1").versions == ("2", "1")
    assert plane.metadata("beer", "2024-01").versions == ("1", "2024-01")
    assert len({plane.metadata(*key).digest for key in MODELS}) == len(MODELS)


def test_ready_are_all_models_or_the_one_that_is_named(plane: DataPlane, scorers: Sequence[Scorer]) -> None:
    plane.require_ready()
    plane.require_ready("beer", "2024-01")
    plane.slots[3].swap(None)
    with refused(NotReadyError, "model: expected one to be loaded, got none yet"):
        plane.require_ready()
    plane.slots[3].swap(scorers[3])
    plane.drain()
    for name in ("wine", "beer"):
        with refused(NotReadyError, f"model `{name}`: expected to be ready, got a server that is stopping"):
            plane.require_ready(name)


def test_a_request_is_counted_under_its_model_and_under_none_where_there_is_none(plane: DataPlane) -> None:
    assert plane.served("wine") == Served("wine", "2")
    assert plane.served("beer", "2024-01") == Served("beer", "2024-01")
    assert plane.served() == plane.served("ale") == plane.served("wine", "7") == Served("", "")
