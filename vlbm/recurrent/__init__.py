"""A recurrent language model, native to transformers, to be trained from scratch."""
