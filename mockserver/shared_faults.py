"""Faults that are counted over all servers of a shared store."""

from __future__ import annotations

from mockserver.faults.fault import Fault, Faults
from mockserver.store.valkey import NO_EPOCH, Epoch
from mockserver.store.valkey_namespaces import NamespaceRecords


class SharedFaults(Faults):
    def __init__(self, name: str, records: NamespaceRecords) -> None:
        super().__init__()
        self.name = name
        self.epoch: Epoch = NO_EPOCH
        self._records = records

    async def count_match(self, fault: Fault, now: int) -> bool:
        if fault.is_over(now):
            return False
        where, times = (self.name, self.epoch, fault.id), fault.frequency.times
        number = await self._records.matched(*where, times)
        if not number:
            await self.refresh()
            return False
        fault.matched = number
        if not fault.is_selected():
            return False
        number = await self._records.applied(*where, times)
        fault.applied = max(fault.applied, number)
        return number > 0

    async def refresh(self) -> None:
        counts = await self._records.fault_counts(self.name, self.epoch.id)
        for fault in self:
            fault.matched, fault.applied = (counts.get(f"{fault.id} {what}", 0) for what in ("matched", "applied"))

    def counts(self) -> dict[str, int]:
        return {f"{each.id} {what}": getattr(each, what) for each in self for what in ("matched", "applied")}
