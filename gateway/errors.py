"""The few kinds of trouble, told once, in words that name no patient."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """What went wrong, as (HTTP status, FHIR issue code): R4 valueset-issue-type."""

    MALFORMED = (400, "invalid")
    REQUIRED = (400, "required")
    NOT_SUPPORTED = (400, "not-supported")
    UNAUTHENTICATED = (401, "login")
    REFUSED = (403, "forbidden")
    UNKNOWN = (404, "not-found")
    NO_SUCH_ROUTE = (404, "not-supported")
    NO_SUCH_METHOD = (405, "not-supported")
    NOT_ACCEPTABLE = (406, "not-supported")
    CONFLICT = (409, "conflict")
    PRECONDITION = (412, "conflict")
    TOO_LARGE = (413, "too-long")
    MEDIA_TYPE = (415, "not-supported")
    UNPROCESSABLE = (422, "processing")
    THROTTLED = (429, "throttled")
    BUSY = (503, "transient")

    @property
    def status(self) -> int:
        """The HTTP status this kind is told with."""
        return self.value[0]

    @property
    def code(self) -> str:
        """The OperationOutcome issue code this kind is told with."""
        return self.value[1]

    @property
    def zh(self) -> str:
        """One sentence in Chinese; the exact trouble is the problem's own sentence."""
        return _CHINESE[self]


_CHINESE = {
    Kind.MALFORMED: "内容不合格式，请按所指位置更正后重发。",
    Kind.REQUIRED: "缺少必需的参数或内容。",
    Kind.NOT_SUPPORTED: "本网关不支持这种参数或操作，支持的见 /fhir/metadata。",
    Kind.UNAUTHENTICATED: "没有有效的访问令牌，请重新获取。",
    Kind.REFUSED: "按现行规则不允许。",
    Kind.UNKNOWN: "没有这项内容，或其对您不可见。",
    Kind.NO_SUCH_ROUTE: "没有这个地址，支持的见 /fhir/metadata。",
    Kind.NO_SUCH_METHOD: "这个地址不支持该 HTTP 方法。",
    Kind.NOT_ACCEPTABLE: "不提供所要的格式，请要 application/fhir+json。",
    Kind.CONFLICT: "与现有内容冲突，没有改动。",
    Kind.PRECONDITION: "内容已有新版本，请重新读取后再改。",
    Kind.TOO_LARGE: "内容超过本网关接收的大小。",
    Kind.MEDIA_TYPE: "不接受这种内容类型。",
    Kind.UNPROCESSABLE: "内容合格式，但不能照办。",
    Kind.THROTTLED: "请求过于频繁，请稍候再试。",
    Kind.BUSY: "暂时不能处理，请稍后重发。",
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing wrong at one place; `place` is the sender's own address for it."""

    text: str
    place: str = ""
    code: str = ""


def place_of(fault: BaseException) -> str:
    """File and line where a fault arose: all that may be written of one nobody foresaw."""
    where = fault.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    return f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else ""


class Problem(Exception):
    """Trouble that may be told to the caller: a sentence and a place, never a value of a patient."""

    def __init__(
        self,
        kind: Kind,
        text: str,
        place: str = "",
        complaints: tuple[Complaint, ...] = (),
    ) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.place = place
        self.complaints = complaints or (Complaint(text, place),)


def issues(problem: Problem) -> list[dict[str, Any]]:
    """The issues of the OperationOutcome that tells it (R4, resource OperationOutcome): no value."""
    return [
        {
            "severity": "error",
            "code": one.code or problem.kind.code,
            "details": {"text": problem.kind.zh},
            "diagnostics": one.text,
            **({"expression": [one.place]} if one.place else {}),
        }
        for one in problem.complaints
    ]
