"""Stope's library: everything that decides a result, and nothing that schedules it.

Nothing in this package imports Temporal; the durable shell is in ``workflows`` and
``activities``.
"""

__version__ = "0.1.0"
