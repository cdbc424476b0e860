"""The records store: plans, units, ledger, jobs and runs in SQL (SQLite or PostgreSQL)."""
