"""Makes packages: a plan first, then a directory that is there whole or not at all."""

from .plan import PackagePlan, plan_package
from .write import write_package

__all__ = ["PackagePlan", "plan_package", "write_package"]
