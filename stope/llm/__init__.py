"""Language models: the ``ChatModel`` port, its engines, and the ledger under every call."""
