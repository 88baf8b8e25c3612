"""Visually augmented language models: a CNN's picture features fused with a GPT-style language model."""

__version__ = "0.1.0"
