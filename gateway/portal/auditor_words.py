"""What an auditor is told of the evidence of a decision, in words; every sentence is marked for translation."""

from __future__ import annotations

from gateway.exchange.inspecting import Verdict
from gateway.portal.words import N_, Mark

VERDICTS: dict[Verdict, tuple[Mark, str]] = {
    "whole": (
        Mark("✓", N_("证据完整"), "good"),
        N_("封存没有被动过，内容与日志当时所记一致，日志为它作保。"),
    ),
    "gone": (
        Mark("✕", N_("证据不见了"), "bad"),
        N_("日志记着这份证据，数据库里却没有：它被删除了。"),
    ),
    "changed": (
        Mark("✕", N_("证据记录被改动"), "bad"),
        N_("数据库里的这一行与日志所记的不同：有人改动了它，或把旧的放了回来。"),
    ),
    "added": (
        Mark("✕", N_("日志不认这份证据"), "bad"),
        N_("日志从未为这一行作保：它不是本系统写下的。"),
    ),
    "altered": (
        Mark("✕", N_("证据内容被改动"), "bad"),
        N_("封存已破，或内容与日志当时所记不符。"),
    ),
    "unreadable": (
        Mark("?", N_("无法核对"), "warn"),
        N_("密钥已按规定销毁，内容无法再打开，也就无法核对。"),
    ),
}
