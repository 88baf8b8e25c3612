"""Evaluation: is the thing in the picture named, and is it the picture that did it."""
