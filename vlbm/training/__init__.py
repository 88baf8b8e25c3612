"""Training: recipes that make an adapter from data, with one command each."""
