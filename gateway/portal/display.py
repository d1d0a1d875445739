"""How a person wants the portal shown: kept in a cookie of the browser, read at every page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

COOKIE = "gateway-display"
THEMES = ("auto", "light", "dark")
HIGHS = ("red", "blue")


@dataclass(frozen=True, slots=True)
class Display:
    """`theme`: as the system says, light or dark. `high`: the colour of what is above its range;
    what is below has the other. `keys`: whether single keys do something (WCAG 2.1, 2.1.4)."""

    theme: str = "auto"
    high: str = "red"
    keys: bool = True

    @classmethod
    def read(cls, text: str) -> Self:
        """From the cookie, or from words of a form; what is not understood is as usual."""
        said = set(text.split("."))
        theme = next((one for one in THEMES if one in said), "auto")
        high = next((one for one in HIGHS if one in said), "red")
        return cls(theme, high, "no-keys" not in said)

    @property
    def text(self) -> str:
        """For the cookie."""
        return ".".join((self.theme, self.high, "keys" if self.keys else "no-keys"))
