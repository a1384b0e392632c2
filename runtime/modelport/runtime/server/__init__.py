"""Serves a package over HTTP: `python -m modelport.runtime.server`, told what to do by the environment."""
