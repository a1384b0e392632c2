"""Where the served model lives: one place that requests read and that another model can be put into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelport.runtime.errors import NotReadyError

if TYPE_CHECKING:
    from modelport.runtime.scorer import Scorer


class ModelSlot:
    """Owns the served model, or none yet.

    A request takes the model once and keeps it until it is answered, so a swap never changes the model under it. The
    old model goes when the last request that took it is answered: nothing else holds it.
    """

    def __init__(self, scorer: Scorer | None = None) -> None:
        self._scorer = scorer
        self._kept: Scorer | None = None

    def swap(self, scorer: Scorer | None, *, keep: bool = False) -> None:
        """Serve `scorer` from the next request on; None takes the model out. With `keep` the old one can come back."""
        self._kept = self._scorer if keep else None
        self._scorer = scorer  # one assignment: a request sees the old model or the new one

    def roll_back(self) -> None:
        """Serve the model that was kept again, and keep the one that served; raises `NotReadyError` without one."""
        if self._kept is None:
            raise NotReadyError("model: expected one from before to roll back to, got none")
        self.swap(self._kept, keep=True)

    def stop_runs(self, seconds: float) -> None:
        """Have the engines of the model and of the one that was kept stop runs that have taken longer."""
        for scorer in (self._scorer, self._kept):
            if scorer is not None:
                scorer.engine.stop(seconds)

    def get(self) -> Scorer:
        """Return the model that is served now; raises `NotReadyError` while there is none."""
        if (scorer := self._scorer) is None:
            raise NotReadyError("model: expected one to be loaded, got none yet")
        return scorer
