"""Clearing out as an activity."""

from __future__ import annotations

from temporalio import activity

from activities.failures import translated
from activities.services import Services
from stope import names
from stope.keeping import collect_garbage
from stope.models.keeping import GcReport, KeepPolicy


class KeepingActivities:
    """Deletes what nobody needs."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @activity.defn(name=names.COLLECT_GARBAGE)
    async def collect_garbage(self, policy: KeepPolicy) -> GcReport:
        """Clear out once; done twice it finds nothing the second time."""
        services = self._services
        with translated():
            return await collect_garbage(
                services.database, services.artifacts, services.settings.scratch, policy
            )
