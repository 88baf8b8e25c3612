"""What the encoder knows in words: class names and captions of similar pictures, as tokens of the language model."""
