"""Answers to XML and SOAP: what was kept, or why not, in the form and version the sender spoke.

Plain XML gets one small element; a SOAP call gets an Envelope of its own version (1.1 or 1.2), with a
Fault when its message was not kept. Codes are those of HL7 table 0008: AA kept, AE send again, AR never.
Nothing of the request is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from xml.sax.saxutils import quoteattr

from gateway.errors import Kind, Problem
from gateway.exchange.receive import Receipt

NAMESPACE = "urn:gateway:intake"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
# Some callers take a call for done when they find these very words (met in the field).
_KEPT = "已可靠保存 The message has been successfully received"
_SAID = {
    Kind.MALFORMED: "内容为空或不完整 The body is empty or ended early",
    Kind.UNAUTHENTICATED: "没有有效的访问令牌 There is no valid access token",
    Kind.REFUSED: "该客户端不能以此来源的名义发送 This client does not speak for that source",
    Kind.UNKNOWN: "来源未登记 The source is not registered here",
    Kind.TOO_LARGE: "内容超过本网关接收的大小 The body is larger than this gateway accepts",
}
_AGAIN = "暂时无法保存，请重发 The message could not be kept now; send it again"
# What HTTP itself says better than a SOAP status.
_AS_HTTP = frozenset({401, 403, 404, 413, 503})


class Form(Enum):
    """How the sender speaks: media type of the answer, namespace of the envelope."""

    PLAIN = ("application/xml", "")
    SOAP11 = ("text/xml", "http://schemas.xmlsoap.org/soap/envelope/")
    SOAP12 = ("application/soap+xml", "http://www.w3.org/2003/05/soap-envelope")

    @property
    def media_type(self) -> str:
        return self.value[0]

    @property
    def namespace(self) -> str:
        return self.value[1]


def form_of(beginning: bytes, media_type: str) -> Form:
    """By the namespace of the envelope, which stands in the first bytes; else by the media type."""
    for form in (Form.SOAP11, Form.SOAP12):
        if form.namespace.encode() in beginning:
            return form
    return Form.SOAP12 if media_type == "application/soap+xml" else Form.PLAIN


def kept(form: Form, receipts: Sequence[Receipt]) -> bytes:
    """The acknowledgment of a delivery that is durably kept."""
    messages = "".join(
        f"<message id={quoteattr(one.id)} outcome={quoteattr(one.outcome)}/>" for one in receipts
    )
    return _wrapped(form, _acknowledgment("AA", _KEPT, messages))


def refused(form: Form, problem: Problem) -> tuple[bytes, int]:
    """The answer to a delivery that was not kept, and its HTTP status."""
    said = _SAID.get(problem.kind, _AGAIN)
    again = problem.kind not in _SAID
    status = problem.kind.status
    if form is Form.PLAIN:
        return _wrapped(form, _acknowledgment("AE" if again else "AR", said)), status
    detail = _acknowledgment("AE" if again else "AR", said)
    if form is Form.SOAP11:
        # SOAP 1.1 §4.4 and §6.2: a fault that is not HTTP's own is 500.
        side = "Server" if again else "Client"
        fault = (
            f"<s:Fault><faultcode>s:{side}</faultcode><faultstring>{said}</faultstring>"
            f"<detail>{detail}</detail></s:Fault>"
        )
        return _wrapped(form, fault), status if status in _AS_HTTP else 500
    # SOAP 1.2 part 1 §5.4, part 2 §7.5.2.2.
    side = "Receiver" if again else "Sender"
    fault = (
        f"<s:Fault><s:Code><s:Value>s:{side}</s:Value></s:Code>"
        f'<s:Reason><s:Text xml:lang="zh">{said}</s:Text></s:Reason>'
        f"<s:Detail>{detail}</s:Detail></s:Fault>"
    )
    return _wrapped(form, fault), status if status in _AS_HTTP else 500 if again else 400


def _acknowledgment(code: str, said: str, messages: str = "") -> str:
    return (
        f'<acknowledgment xmlns="{NAMESPACE}"><code>{code}</code><text>{said}</text>{messages}'
        "</acknowledgment>"
    )


def _wrapped(form: Form, body: str) -> bytes:
    if form is Form.PLAIN:
        return f"{_DECLARATION}{body}".encode()
    return (
        f'{_DECLARATION}<s:Envelope xmlns:s="{form.namespace}"><s:Body>{body}</s:Body></s:Envelope>'
    ).encode()
