"""Words of the IT office's pages on messages and clients."""

from __future__ import annotations

from gateway.portal.words import N_, Mark

STATES = {
    "filed": Mark("✓", N_("已归档"), "good"),
    "quarantined": Mark("✕", N_("已隔离"), "bad"),
    "waiting": Mark("…", N_("等待处理"), "quiet"),
    "retry": Mark("↻", N_("等待重试"), "warn"),
}
CHOICES = {
    "waiting": N_("等待处理"),
    "retry": N_("等待重试"),
    "filed": N_("已归档"),
    "quarantined": N_("已隔离"),
    "repeated": N_("收到多次"),
}
WINDOWS = {1: N_("1 小时"), 6: N_("6 小时"), 24: N_("24 小时"), 168: N_("7 天"), 0: N_("全部")}
RUNS = {
    "running": Mark("…", N_("进行中"), "quiet"),
    "paused": Mark("‖", N_("已停下"), "warn"),
    "done": Mark("✓", N_("已完成"), "good"),
}
