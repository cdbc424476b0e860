"""Who spoke when: the ``Diarizer`` port, its engines, and the words given to speakers."""
