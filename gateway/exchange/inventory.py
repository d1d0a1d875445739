"""The data-at-rest inventory: what lies where, counted in the databases, and whether a source keeps its word.

A source of mode `index` or `relay` promises that its content is not stored here; the counts prove it or
show what breaks it.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.exchange import register_sheets as sheets
from gateway.exchange.registers import commission
from gateway.services import Services
from gateway.services.caller import Caller
from gateway.store import inventory as rows


@dataclass(frozen=True, slots=True)
class Inventory:
    """Rows and bytes by table and by source, at one instant (µs UTC)."""

    at: int
    engine: str
    tables: tuple[rows.TableSize, ...]
    sources: tuple[rows.SourceStock, ...]

    def keeps(self, one: rows.SourceStock) -> bool:
        """Whether what lies here of a source is no more than its mode allows."""
        return keeps_its_word(one)


def keeps_its_word(one: rows.SourceStock) -> bool:
    """Whether what lies here is no more than the source's mode allows."""
    match one.keep:
        case "content":
            return True
        case "index":
            return one.with_content == 0 and one.message_bytes == 0
        case _:
            return one.with_content == 0 and one.message_bytes == 0 and one.records == 0


async def inventory(caller: Caller, services: Services) -> Inventory:
    """What is stored, for the health authority."""
    commission(caller, services)
    return Inventory(
        services.now(),
        services.db.engine,
        tuple(await services.db.session(rows.sizes)),
        tuple(await services.db.session(rows.stocks)),
    )


async def exported(caller: Caller, services: Services) -> bytes:
    """The inventory as an Excel file; one `register-export` event before it."""
    found = await inventory(caller, services)
    await sheets.noted("inventory.xlsx", len(found.sources), caller, services)
    return sheets.sheet(
        "静态数据盘点",
        ["来源", "机构", "保存方式", "消息", "消息字节", "记录", "有内容的记录", "内容字节", "与方式相符"],
        [
            [*map(str, one), "是" if keeps_its_word(one) else "否"]
            for one in found.sources
        ],
    )  # fmt: skip
