"""Mining: transcripts in, segments, one structured call each, claims with aligned evidence out."""
