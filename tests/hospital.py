"""A hospital's own database with a laboratory view, which tests fill as its LIS would."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import create_engine, text

COLUMNS = (
    "BRID", "XM", "XB", "CSRQ", "SFZH", "BGDH", "BBLX", "XMDM", "XMMC", "JG", "DW", "CKFW", "TS",
    "CYSJ", "BGSJ", "ZT", "GXSJ",
)  # fmt: skip
VIEW = "V_LIS_JG"


@dataclass
class Hospital:
    """`address` is what the gateway is told; `run` is the hospital's own hand."""

    address: str

    def __post_init__(self) -> None:
        address = self.address.replace("postgresql://", "postgresql+psycopg://")
        self.engine = create_engine(address)

    @property
    def postgresql(self) -> bool:
        return "postgresql" in self.address

    def run(self, statement: str, rows: Iterable[dict[str, Any]] | None = None) -> None:
        with self.engine.begin() as db:
            db.execute(text(statement), [*rows] if rows is not None else None)

    def found(self) -> None:
        """The table behind the view, and the view; numbers and times are what the LIS stores them as."""
        types = {"JG": "NUMERIC(10,2)" if self.postgresql else "TEXT", "GXSJ": self.time}
        columns = ", ".join(f'"{name}" {types.get(name, "TEXT")}' for name in COLUMNS)
        self.run(f'CREATE TABLE "LIS_JG" ({columns})')
        self.run(f'CREATE VIEW "{VIEW}" AS SELECT * FROM "LIS_JG"')

    @property
    def time(self) -> str:
        return "TIMESTAMP" if self.postgresql else "TEXT"

    def add(self, *rows: dict[str, Any]) -> None:
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        holes = ", ".join(f":{name}" for name in COLUMNS)
        self.run(f'INSERT INTO "LIS_JG" ({names}) VALUES ({holes})', rows)

    def close(self) -> None:
        self.engine.dispose()


def result(report: str, item: str, value: Any, changed: str, **more: Any) -> dict[str, Any]:
    """One row of the view: a result of 周燶 that changed at `changed`."""
    return {
        "BRID": "T0000123", "XM": "周燶", "XB": "女", "CSRQ": "1980-01-01", "SFZH": None,
        "BGDH": report, "BBLX": "血清", "XMDM": item, "XMMC": f"项目{item}", "JG": value,
        "DW": "mmol/L", "CKFW": "3.9-6.1", "TS": None, "CYSJ": "2026-02-28 07:30:00",
        "BGSJ": "2026-02-28 09:30:00", "ZT": "2", "GXSJ": changed, **more,
    }  # fmt: skip
