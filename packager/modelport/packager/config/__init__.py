"""The configuration of a package, `modelport.yaml`: parse, then validate, then resolve."""

from .load import encode_resources, load_config, packaged_files
from .schema import Execution, PackageConfig, Resources, TargetConfig

__all__ = [
    "Execution",
    "PackageConfig",
    "Resources",
    "TargetConfig",
    "encode_resources",
    "load_config",
    "packaged_files",
]
