"""Faults at every boundary of a run, and the proof that none of them costs finished work."""
