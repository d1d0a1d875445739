"""Answers in XML: of the caller's own SOAP version, well-formed, with a code, repeating nothing."""

from __future__ import annotations

import pytest
from lxml import etree

from gateway.errors import Kind, Problem
from gateway.exchange.receive import Receipt
from gateway.intake import xmlack
from gateway.intake.xmlack import NAMESPACE, Form

KEPT = Receipt("a" * 32, "new")
# kind -> plain status, SOAP 1.1, SOAP 1.2, whose fault, code of table 0008
TOLD = {
    Kind.MALFORMED: (400, 500, 400, "Client", "AR"),
    Kind.UNAUTHENTICATED: (401, 401, 401, "Client", "AR"),
    Kind.REFUSED: (403, 403, 403, "Client", "AR"),
    Kind.UNKNOWN: (404, 404, 404, "Client", "AR"),
    Kind.TOO_LARGE: (413, 413, 413, "Client", "AR"),
    Kind.BUSY: (503, 503, 503, "Server", "AE"),
    Kind.THROTTLED: (429, 500, 500, "Server", "AE"),
}


def parsed(text: bytes) -> etree._Element:
    return etree.fromstring(text)


@pytest.mark.parametrize(
    ("beginning", "kind", "form"),
    [
        (b"<a/>", "application/xml", Form.PLAIN),
        (b"<a/>", "text/xml", Form.PLAIN),
        (b"<a/>", "application/soap+xml", Form.SOAP12),
        (b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">', "application/xml", Form.SOAP11),
        (b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">', "application/soap+xml", Form.SOAP11),
        (b"<e:Envelope xmlns:e='http://www.w3.org/2003/05/soap-envelope'>", "text/xml", Form.SOAP12),
        (b"", "text/xml", Form.PLAIN),
    ],
)  # fmt: skip
def test_the_answer_takes_the_form_of_the_call(beginning, kind, form):
    assert xmlack.form_of(beginning, kind) is form


@pytest.mark.parametrize("form", Form)
def test_what_was_kept_is_accepted_with_its_names(form):
    root = parsed(xmlack.kept(form, [KEPT, Receipt("b" * 32, "again")]))
    assert [one.get("outcome") for one in root.iter(f"{{{NAMESPACE}}}message")] == ["new", "again"]
    assert root.findtext(f".//{{{NAMESPACE}}}code") == "AA"
    assert "已可靠保存" in (root.findtext(f".//{{{NAMESPACE}}}text") or "")
    if form is not Form.PLAIN:
        assert root.tag == f"{{{form.namespace}}}Envelope"
        assert root.find(f".//{{{form.namespace}}}Fault") is None


@pytest.mark.parametrize("kind", TOLD)
@pytest.mark.parametrize("form", Form)
def test_a_refusal_says_whose_fault_it_is_and_whether_to_send_again(form, kind):
    plain, eleven, twelve, side, code = TOLD[kind]
    text, status = xmlack.refused(form, Problem(kind, "王珅 is not told of"))
    root = parsed(text)
    assert status == {Form.PLAIN: plain, Form.SOAP11: eleven, Form.SOAP12: twelve}[form]
    assert root.findtext(f".//{{{NAMESPACE}}}code") == code
    assert "王珅" not in text.decode()
    assert any("\u4e00" <= sign <= "\u9fff" for sign in text.decode())
    if form is Form.SOAP11:
        assert root.findtext(".//faultcode") == f"s:{side}"
    if form is Form.SOAP12:
        said = {"Client": "Sender", "Server": "Receiver"}[side]
        assert root.findtext(f".//{{{form.namespace}}}Value") == f"s:{said}"
