"""The steps of data preparation, by what they work on."""
