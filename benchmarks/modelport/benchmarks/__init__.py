"""Measures how fast packages are scored, and runs the project's main job on real data."""
