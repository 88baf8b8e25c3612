"""Evaluation: how well a model answers, and whether it was the picture that made it."""
