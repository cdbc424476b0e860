"""Vision: frames of videos, what is seen in them, and data sets made of it."""
