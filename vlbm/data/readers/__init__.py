"""Readers of the data sets of the field, each into the examples of `vlbm.data.records`."""
