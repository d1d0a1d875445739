"""Marks on pages of figures: frozen months, objections, targets."""

from __future__ import annotations

from gateway.portal.words import N_, Mark

SIGNED = Mark("✓", N_("签名有效"), "good")
OBJECTIONS = {
    "open": Mark("…", N_("待答复"), "warn"),
    "upheld": Mark("✓", N_("异议成立"), "good"),
    "rejected": Mark("✕", N_("异议不成立"), "quiet"),
}
REACHED = {True: Mark("✓", N_("已达到"), "good"), False: Mark("!", N_("未达到"), "warn")}
