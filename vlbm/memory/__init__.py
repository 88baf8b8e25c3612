"""A visual memory of one's own: pictures with what they show, found again by likeness, without training."""
