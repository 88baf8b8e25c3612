"""Training recipes: how the packaged model was made, step by step, so that anyone can make it again."""
