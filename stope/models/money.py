"""Amounts of money as people read them."""

from __future__ import annotations

from decimal import Decimal


def dollars(amount: Decimal | float) -> str:
    """``$12.34``; below a dollar two digits that matter, ``$0.00042``."""
    exact = amount if isinstance(amount, Decimal) else Decimal(repr(amount))
    if exact == 0 or exact >= 1:
        return f"${exact:,.2f}"
    return f"${exact.quantize(Decimal(1).scaleb(min(-2, exact.adjusted() - 1))):f}"
