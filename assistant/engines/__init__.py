"""Implementations of the ``Engine`` port. Only ``engines.vlbm`` imports the model."""
