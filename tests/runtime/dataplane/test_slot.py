"""A model can be swapped while it is being asked."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tiny_models

from modelport.runtime import load
from modelport.runtime.dataplane import DataPlane, ModelSlot
from modelport.runtime.errors import NotReadyError
from modelport.runtime.protocol import InferRequest, Tensor

if TYPE_CHECKING:
    from pathlib import Path

    from modelport.runtime.protocol import InferResponse


def test_an_empty_slot_is_not_ready() -> None:
    with pytest.raises(NotReadyError, match=r"(?m)^model: expected one to be loaded, got none yet$"):
        ModelSlot().get()


def test_a_request_keeps_the_model_that_it_took_and_the_last_one_lets_it_go(tmp_path: Path) -> None:
    old, new = load(tiny_models.linear(tmp_path / "old")), load(tiny_models.linear(tmp_path / "new", nullable=True))
    slot, gone = ModelSlot(old), weakref.ref(old)
    taken = slot.get()
    del old
    slot.swap(new)
    assert slot.get() is new
    assert gone() is taken
    del taken
    gc.collect()
    assert gone() is None


def test_requests_during_swaps_are_all_answered_by_one_model_or_the_other(tmp_path: Path) -> None:
    """The two have one name, and differ in whether they accept NaN: each answer is wholly the one's or the other's."""
    scorers = [
        load(tiny_models.linear(tmp_path / "strict")),
        load(tiny_models.linear(tmp_path / "lenient", nullable=True)),
    ]
    slot = ModelSlot(scorers[0])
    plane = DataPlane(slot)
    row = np.array([[1, 2, 3, 4]], np.float32)
    expected = scorers[0].score(row)["y"].tobytes()
    request = InferRequest(model="linear", inputs=(Tensor(name="x", datatype="FP32", shape=(1, 4), data=row),))
    done = threading.Event()

    def swap() -> int:
        swaps = 0
        while not done.is_set():
            slot.swap(scorers[swaps % 2])
            swaps += 1
        return swaps

    def ask(_: int) -> bool:
        answer: InferResponse = plane.infer(request)
        return np.asarray(answer.outputs[0].data).tobytes() == expected

    with ThreadPoolExecutor(5) as pool:
        swapping = pool.submit(swap)
        answers = list(pool.map(ask, range(2_000)))
        done.set()
        assert swapping.result() > 0
    assert all(answers)
    assert plane.observer.read().succeeded == 2_000
