"""Speech recognition: the ``Transcriber`` port, its engines, and the transcribe stage."""
