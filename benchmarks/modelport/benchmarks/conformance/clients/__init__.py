"""One module a client; `python -m` with the path of the cases prints a JSON line for every operation."""
