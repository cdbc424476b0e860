"""The parts of the client, one family of its methods each. ``client.JobClient`` is all of them."""
