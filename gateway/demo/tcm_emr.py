"""云溪县中医医院: its electronic medical record sends shared documents (WS/T 500) over HTTP.

Laboratory reports (C0007) come as they are, in GBK; examination reports (C0006) inside a SOAP call, with
the faults this vendor has always had: a digit in the namespace, OIDs without their leading 2. The number
in 1.11 is the patient number of this house, the same as in its laboratory view.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from xml.sax.saxutils import escape

from gateway.demo.delivery import Delivery, moment
from gateway.demo.panels import LIVER, Panel, Result, results
from gateway.demo.residents import Resident
from gateway.demo.tcm import CODES, patient_number

SOURCE = "tcm-emr"
DATA_ELEMENTS = "2.16.156.10011.2.2.1"
IDS = "2.16.156.10011.1"
GENDER = {"male": ("1", "男性"), "female": ("2", "女性"), "unknown": ("0", "未知的性别")}
DOCUMENTS = 8
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"


def _observation(code: str, name: str, value: str, more: str = "", time: str = "") -> str:
    return (
        f'<observation classCode="OBS" moodCode="EVN"><code code="{code}" displayName="{name}" '
        f'codeSystem="{DATA_ELEMENTS}"/>{time}{value}{more}</observation>'
    )


def _text(value: str) -> str:
    return f'<value xsi:type="ST">{escape(value)}</value>'


def _section(code: str, name: str, *entries: str) -> str:
    coded = f' code="{code}" codeSystem="2.16.840.1.113883.6.1"' if code else ""
    inside = "\n".join(f"<entry>{entry}</entry>" for entry in entries)
    return f'<component><section><code{coded} displayName="{name}"/><text/>\n{inside}\n</section></component>'


def _document(
    kind: str,
    title: str,
    one: Resident,
    number: tuple[str, str],
    at: datetime,
    body: str,
    charset: str,
) -> str:
    """One signed document; `number` is the root and value of its report number."""
    gender, shown = GENDER[one.sex]
    born = f'<birthTime value="{one.born:%Y%m%d}"/>' if one.born else ""
    return f"""<?xml version="1.0" encoding="{charset}"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<realmCode code="CN"/><typeId root="2.16.840.1.113883.1.3" extension="POCD_MT000040"/>
<templateId root="2.16.156.10011.2.1.1.{20 + int(kind[1:])}"/>
<id root="{IDS}.1" extension="{kind}{number[1]}"/>
<code code="{kind}" codeSystem="2.16.156.10011.2.4"/><title>{title}</title>
<effectiveTime value="{at:%Y%m%d%H%M%S}"/>
<recordTarget><patientRole>
<id root="{IDS}.11" extension="{patient_number(one)}"/><id root="{IDS}.12" extension=""/>
<id root="{IDS}.{number[0]}" extension="{number[1]}"/>
<patient><id root="{IDS}.3" extension="{one.number}"/><name>{escape(one.name)}</name>
<administrativeGenderCode code="{gender}" codeSystem="2.16.156.10011.2.3.3.4" displayName="{shown}"/>{born}
</patient></patientRole></recordTarget>
<author><time value="{at:%Y%m%d%H%M%S}"/><assignedAuthor><id root="{IDS}.7" extension="D012"/>
<assignedPerson><name>李明轩</name></assignedPerson></assignedAuthor></author>
<legalAuthenticator><time value="{at:%Y%m%d%H%M%S}"/><signatureCode/><assignedEntity>
<id root="{IDS}.4" extension="D021"/><code displayName="审核医师"/></assignedEntity></legalAuthenticator>
<component><structuredBody>
{body}
</structuredBody></component></ClinicalDocument>
"""


def _item(result: Result, panel: Panel, collected: datetime) -> str:
    """One item of a laboratory report: an organizer of code, specimen, number and unit."""
    drawn = (
        f'<effectiveTime><low value="{collected:%Y%m%d%H%M%S}"/>'
        f'<high value="{collected + timedelta(minutes=40):%Y%m%d%H%M%S}"/></effectiveTime>'
    )
    specimen = _observation("DE04.50.134.00", "标本类别", _text(panel.specimen_name), time=drawn)
    unit = _observation("DE04.30.016.00", "计量单位", _text(result.item.unit.replace("μ", "u")))
    parts = (
        _observation(
            "DE04.30.019.00",
            "检验项目代码",
            _text(CODES[result.item.code]),
            f'<entryRelationship typeCode="COMP">{specimen}</entryRelationship>',
        ),
        _observation(
            "DE04.30.015.00",
            "检验定量结果",
            f'<value xsi:type="REAL" value="{escape(result.value)}"/>',
            f'<entryRelationship typeCode="COMP">{unit}</entryRelationship>',
        ),
    )
    inside = "".join(f"<component>{part}</component>" for part in parts)
    return f'<organizer classCode="CLUSTER" moodCode="EVN"><statusCode/>{inside}</organizer>'


def lab_report(one: Resident, number: str, at: datetime) -> bytes:
    """A C0007 in GBK."""
    items = (
        _item(result, LIVER, at - timedelta(hours=3)) for result in results(LIVER, "emr", one.key)
    )
    kind = _observation("DE04.30.018.00", "检验类别", _text(LIVER.name))
    body = _section("30954-2", "STUDIES SUMMARY", kind, *items)
    return _document("C0007", "检验报告", one, ("33", number), at, body, "GBK").encode("gb18030")


def exam_report(one: Resident, number: str, at: datetime) -> bytes:
    """A C0006 as the payload of a SOAP call, with the faults of this vendor."""
    exam = _section(
        "29545-1",
        "PHYSICAL EXAMINATION",
        _observation("DE04.30.018.00", "检查类别", _text("超声")),
        _observation(
            "DE04.30.019.00",
            "检查项目代码",
            '<value xsi:type="CD" code="US0301" displayName="腹部彩超"/>',
            time=f'<effectiveTime value="{at - timedelta(minutes=20):%Y%m%d%H%M%S}"/>',
        ),
    )
    said = _section(
        "",
        "检查报告",
        _observation(
            "DE04.50.131.00",
            "检查报告结果-客观所见",
            _text("肝脏大小形态正常，肝内回声均匀。胆囊壁光滑。"),
        ),
        _observation("DE04.50.132.00", "检查报告结果-主观提示", _text("肝胆脾未见明显异常")),
    )
    document = _document("C0006", "检查报告", one, ("32", number), at, f"{exam}\n{said}", "UTF-8")
    document = document.replace("urn:hl7-org:v3", "urn:h17-org:v3")
    document = document.replace(f'"{IDS}.3"', f'"{IDS[2:]}.3"')
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{SOAP}"><s:Body>'
        f'<q:invoke xmlns:q="urn:platform"><serviceCode>C0006</serviceCode>'
        f"<payload>{escape(document)}</payload></q:invoke></s:Body></s:Envelope>"
    ).encode()


def deliveries(folk: Sequence[Resident], today: date) -> Iterator[Delivery]:
    """A few documents about residents whom the laboratory knows too."""
    known = [
        one
        for index, one in enumerate(folk)
        if index > 16 and one.will == "broad" and one.number and index % 3 == 1
    ]
    for turn, one in enumerate(known[:DOCUMENTS]):
        at = moment(today, 3 + turn, "10:15")
        number = f"{at:%Y%m%d}{turn:04d}"
        if turn % 2:
            yield Delivery(SOURCE, "http-xml", "text/xml", exam_report(one, f"JC{number}", at), at)
        else:
            yield Delivery(
                SOURCE,
                "http-xml",
                "application/hl7-cda+xml",
                lab_report(one, f"JY{number}", at),
                at,
            )
