"""The JSON objects of the protocol, as they stand in a body."""

from __future__ import annotations

from typing import Any, Final

import msgspec

ABSENT: Final = msgspec.Raw(b"")


class RequestInput(msgspec.Struct, frozen=True):
    """An input tensor: its values in `data`, or after the JSON where `parameters` has a `binary_data_size`."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, Any] = {}
    data: msgspec.Raw = ABSENT


class RequestOutput(msgspec.Struct, frozen=True):
    """An output that is asked for, after the JSON where `parameters` has a true `binary_data`."""

    name: str
    parameters: dict[str, Any] = {}


class Request(msgspec.Struct, frozen=True):
    """`$inference_request`. Fields that the protocol does not name are passed over, and parameters that we do not."""

    inputs: tuple[RequestInput, ...]
    id: str | None = None
    outputs: tuple[RequestOutput, ...] = ()
    parameters: dict[str, Any] = {}


class ResponseOutput(msgspec.Struct, frozen=True, omit_defaults=True):
    """An output tensor: its values in `data`, or after the JSON where `parameters` has a `binary_data_size`."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, int] = {}
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET


class Response(msgspec.Struct, frozen=True, omit_defaults=True):
    """`$inference_response`."""

    model_name: str
    model_version: str
    outputs: tuple[ResponseOutput, ...]
    id: str | None = None


class TensorMetadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """`$metadata_tensor`. `parameters` are ours: what else the signature says of the tensor."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, Any] = {}


class ModelMetadata(msgspec.Struct, frozen=True):
    """`$metadata_model_response`. `properties` say which package it is and what its proof rests on."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    properties: dict[str, str]


class ServerMetadata(msgspec.Struct, frozen=True):
    """`$metadata_server_response`."""

    name: str
    version: str
    extensions: tuple[str, ...]
