"""Scores rows on a server over the Open Inference Protocol V2 with binary tensors, by the standard library's HTTP.

```python
from modelport.runtime.client import Model, score

score("http://localhost:8080/v2/models/wine", frame)         # once
with Model("http://localhost:8080/v2/models/wine") as wine:  # again and again, over one connection
    wine.score([{"alcohol": 14.2, ...}])
```
"""

from __future__ import annotations

from .errors import OverloadedError, ServerError, UnreachableError
from .model import Model, score

__all__ = ["Model", "OverloadedError", "ServerError", "UnreachableError", "score"]
