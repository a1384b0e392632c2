"""The server described for machines: OpenAPI 3.0.3, and Swagger 2.0 as Azure ML's clients want it."""

from .description import describe

__all__ = ["describe"]
