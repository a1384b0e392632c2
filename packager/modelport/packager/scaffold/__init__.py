"""What a project begins with: a commented `modelport.yaml` and `score.py`, from the templates beside this file."""

from .scaffold import Scaffold, next_steps, plan_scaffold, write_scaffold

__all__ = ["Scaffold", "next_steps", "plan_scaffold", "write_scaffold"]
