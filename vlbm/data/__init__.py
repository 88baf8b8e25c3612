"""Data sources: where pictures with captions come from, and how pictures are composed from them."""
