"""Makes packages out of trained models, proven equal to what was trained."""
