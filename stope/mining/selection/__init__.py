"""Choosing what to mine: labelled example sentences and the selector that learns from them."""
