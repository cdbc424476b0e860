"""Our search attributes on a Temporal server: added when missing, and whether they can be used.

Whoever may administer the server's namespace needs to do nothing. Where that is not permitted,
workflows go on without them, unless an operator has created them.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

from stope import names

log = logging.getLogger(__name__)

_RPC_TIMEOUT = timedelta(seconds=5)

_TYPES: dict[str, IndexedValueType.ValueType] = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Int": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    "Double": IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
}

_PROBE = " AND ".join(
    f"{name} = {repr('-') if kind == 'Keyword' else 0}"
    for name, kind in names.SEARCH_ATTRIBUTES.items()
)
"""A query that the server answers only if it has all of them, with types that fit."""


async def register_search_attributes(client: Client) -> bool:
    """Add the attributes that the server does not have. Returns whether all can be used now.

    Never raises for what the server says: without them work goes on, only the Web UI's list cannot
    be filtered by them.
    """
    refusal = await _add_missing(client)
    try:
        await client.count_workflows(_PROBE, rpc_timeout=_RPC_TIMEOUT)
    except RPCError as error:
        log.info(
            "search attributes cannot be used: %s; adding them: %s",
            error.message,
            refusal or "not refused",
        )
        return False
    return True


async def _add_missing(client: Client) -> str | None:
    """Why they could not be added; None if they were, or were there."""
    operator, namespace = client.operator_service, client.namespace
    try:
        found = await operator.list_search_attributes(
            ListSearchAttributesRequest(namespace=namespace), timeout=_RPC_TIMEOUT
        )
        missing = {
            name: _TYPES[kind]
            for name, kind in names.SEARCH_ATTRIBUTES.items()
            if name not in found.custom_attributes
        }
        if missing:
            await operator.add_search_attributes(
                AddSearchAttributesRequest(namespace=namespace, search_attributes=missing),
                timeout=_RPC_TIMEOUT,
            )
    except RPCError as error:
        return error.message
    return None
