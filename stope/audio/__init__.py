"""Recordings: probing, decoding to 16 kHz mono, speech activity and the chunk plan."""
