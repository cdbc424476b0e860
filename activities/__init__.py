"""The Temporal shell: a request comes in, the library is called, a small result goes out."""
