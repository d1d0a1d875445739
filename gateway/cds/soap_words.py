"""What a fault says to a hospital's engineer: Chinese first, then English, and where."""

from __future__ import annotations

from typing import Final

from gateway.errors import Kind, Problem

SAID: Final = {
    Kind.MALFORMED: "内容不符合接口说明",
    Kind.REQUIRED: "缺少必填的内容",
    Kind.UNAUTHENTICATED: "没有有效的访问令牌",
    Kind.REFUSED: "该系统或医生不能这样调用",
    Kind.UNKNOWN: "没有这条提示，或不属于本次调用者，或已过期",
    Kind.NO_SUCH_ROUTE: "没有这个操作",
    Kind.CONFLICT: "此前已作过不同的答复，或结果已有新版本，请重新查询",
    Kind.TOO_LARGE: "内容超过接收的大小",
    Kind.MEDIA_TYPE: "内容类型须为 text/xml 或 application/soap+xml",
    Kind.UNPROCESSABLE: "不能这样办理",
    Kind.BUSY: "暂时不能应答，请稍后再试，不要阻断医生开单",
}
OTHERWISE: Final = "不能办理"


def said_of(problem: Problem, place: str) -> str:
    """One line: what is wrong, where, and the same in English."""
    zh = SAID.get(problem.kind, OTHERWISE)
    return f"{zh}{f'（位置：{place}）' if place else ''} {problem.text}"
