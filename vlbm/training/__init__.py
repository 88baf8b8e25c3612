"""Training: from a file of one's own, or a recipe, to a saved model."""
