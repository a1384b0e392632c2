"""A model on a server, which scores what a `Scorer` scores in process."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from modelport.runtime.errors import InvalidSettingError, named
from modelport.runtime.frames import to_inputs

from .messages import answers_of, request_of, signature_of
from .transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from modelport.runtime.signature import Signature

    Arrays = dict[str, NDArray[Any]]

_PATH: Final = re.compile(r".*/v2/models/[^/]+(/versions/[^/]+)?")
_TEXT_BYTES: Final = 64  # what a string is taken for when requests are sized
BATCH_BYTES: Final = 4 << 20


class Model:
    """The model at `url`, `http://HOST:PORT/v2/models/NAME`, `/versions/VERSION` behind it or not.

    `headers` are sent with every request, such as `{"Authorization": "Bearer ..."}`. `timeout` are the seconds that one
    request may take with all its `attempts`. A table of more than `batch_bytes` is sent in several requests. Not for
    several threads at once.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        attempts: int = 5,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        self._transport = Transport(url, headers=headers or {}, timeout=timeout, attempts=attempts)
        if not _PATH.fullmatch(self._transport.path):
            raise InvalidSettingError(
                f"url {named(url)}: expected the address of a model, got another",
                hint="http://HOST:PORT/v2/models/NAME",
            )
        self._batch_bytes = batch_bytes
        self._signature: Signature | None = None

    def __enter__(self) -> Self:
        """Return the model itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens one again."""
        self._transport.close()

    @property
    def signature(self) -> Signature:
        """What the model takes and gives, asked for once."""
        if self._signature is None:
            self._signature = signature_of(self._transport.send("GET", self._transport.path))
        return self._signature

    def score(self, data: Any) -> Arrays:
        """Score an array, a dict of arrays, records, a pandas or Polars data frame, or an Arrow table.

        Returns a dict with every output of the model under its own name. Raises `InvalidInputError` for what the model
        does not take, `UnknownNameError` where there is no such model, `NotReadyError`, `OverloadedError`,
        `UnreachableError` when all attempts failed, and `ServerError`.
        """
        signature = self.signature
        inputs = to_inputs(signature, data)
        rows = len(next(iter(inputs.values()))) if signature.has_rows else 0
        most = max(1, self._batch_bytes // max(1, _row_bytes(inputs)))
        if rows <= most:
            return self._scored(inputs)
        parts = [
            self._scored({name: array[start : start + most] for name, array in inputs.items()})
            for start in range(0, rows, most)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _scored(self, inputs: Arrays) -> Arrays:
        body, headers = request_of(inputs, self.signature)
        return answers_of(self._transport.send("POST", f"{self._transport.path}/infer", body, headers))


def score(url: str, data: Any, **options: Any) -> Arrays:
    """Score `data` on the model at `url` with one connection: see `Model`, whose options these are."""
    with Model(url, **options) as model:
        return model.score(data)


def _row_bytes(inputs: Arrays) -> int:
    return sum(
        max(1, int(np.prod(array.shape[1:]))) * (_TEXT_BYTES if array.dtype == np.object_ else array.dtype.itemsize)
        for array in inputs.values()
    )
