"""Pictures on their way in: recognised, bounded, decoded, normalised and hashed before anything is stored."""

from assistant.images.intake import ImageLimits, NormalisedPicture, normalise
from assistant.images.pool import DecoderPool
from assistant.images.sniff import sniff

__all__ = ["DecoderPool", "ImageLimits", "NormalisedPicture", "normalise", "sniff"]
