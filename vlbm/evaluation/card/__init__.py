"""The packaged model's figures, made by one command: sections, the baselines beside each, and the document."""
