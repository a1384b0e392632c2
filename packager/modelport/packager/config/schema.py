"""What `modelport.yaml` may say: the fields, their types, bounds and defaults.

Names and defaults of `resources` are those of Azure ML's `AksWebservice.deploy_configuration` (azureml-core 1.61).
docs/modelport-yaml.md says what each field means.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from modelport.runtime.package import Contract  # noqa: TC001  msgspec reads the annotations
from modelport.runtime.package.manifest import NAME

_ABOUT_NAMES: Final = "1 to 128 letters, digits, `.`, `_`, `+` or `-`, the first a letter or digit"

Name = Annotated[str, Meta(pattern=rf"^{NAME.pattern}\Z", extra={"means": _ABOUT_NAMES})]
Lock = Annotated[Path, Meta(extra={"means": "the path of a lock with hashes"})]
Model = Annotated[str, Meta(extra={"means": "a path or module:attribute"})]
TargetType = Annotated[str, Meta(extra={"means": "a type of target"})]
Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(gt=0)]
Percent = Annotated[int, Meta(ge=1, le=100)]
Threads = Annotated[int, Meta(ge=1, le=1024)]


class Execution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the engine runs the model. More than one thread may change bits; parity records what that costs."""

    threads: Threads = 1


class Resources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a target must give: processors, memory in GB, times in milliseconds unless the name says seconds.

    Once resolved, `autoscale_enabled` is decided, and `num_replicas` is given just where replicas do not scale.
    """

    cpu_cores: Amount = 0.1
    cpu_cores_limit: Amount | None = None
    memory_gb: Amount = 0.5
    memory_gb_limit: Amount | None = None
    gpu_cores: Count = 0
    num_replicas: Positive | None = None
    autoscale_enabled: bool | None = None
    autoscale_min_replicas: Positive = 1
    autoscale_max_replicas: Positive = 10
    autoscale_refresh_seconds: Positive = 1
    autoscale_target_utilization: Percent = 70
    scoring_timeout_ms: Positive = 60_000
    replica_max_concurrent_requests: Positive = 1
    max_request_wait_time: Positive = 500
    period_seconds: Positive = 10
    initial_delay_seconds: Positive = 310
    timeout_seconds: Positive = 2
    success_threshold: Positive = 1
    failure_threshold: Positive = 3


class TargetConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One place where the package goes; what `settings` may hold is the target's own matter."""

    name: Name
    type: TargetType
    settings: dict[str, Any] = {}


class PackageConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `modelport.yaml`; paths are absolute once it is resolved.

    `model` is the path of a file or `module:attribute`. None leaves the choice to the conversion.
    """

    model: Model
    name: Name | None = None
    version: Name = "1"
    sample: Path | None = None
    expected: Path | None = None
    contract: Contract | None = None
    trust_pickle: bool = False
    entry_script: Path | None = None
    environment: Lock | None = None
    execution: Execution = Execution()
    resources: Resources = Resources()
    targets: tuple[TargetConfig, ...] = ()
