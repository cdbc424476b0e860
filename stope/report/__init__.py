"""Report: a finished run as files people read: a page that plays its evidence, notes, subtitles."""
