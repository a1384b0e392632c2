"""The configuration of a package, `modelport.yaml`: parse, then validate, then resolve."""

from .load import ENVIRONMENT, RESOURCES, SCRIPT, encode_resources, load_config, packaged_files
from .schema import Execution, PackageConfig, Resources, TargetConfig

__all__ = [
    "ENVIRONMENT",
    "RESOURCES",
    "SCRIPT",
    "Execution",
    "PackageConfig",
    "Resources",
    "TargetConfig",
    "encode_resources",
    "load_config",
    "packaged_files",
]
