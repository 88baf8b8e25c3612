"""Data: one format of examples, readers of other formats, sources that packages carry, and splits without leaks."""
