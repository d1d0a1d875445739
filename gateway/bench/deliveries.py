"""Deliveries to measure mapping with: HL7 messages, rows of a view and CDA documents of 20 results each, no two alike.

Persons, numbers, times and results differ as they do in a hospital: a person comes with three reports, an
item has its unit and range, a result is one of some hundreds. Everybody in here is invented.
"""

from __future__ import annotations

from collections.abc import Iterator

ITEMS = 20
_OF_PEOPLE = (
    "ALT", "AST", "ALP", "GGT", "TP", "ALB", "GLO", "TBIL", "DBIL", "IBIL",
    "TBA", "UREA", "CREA", "UA", "GLU", "TC", "TG", "CK", "LDH", "K",
)  # fmt: skip
_OF_TCM = (
    "0101", "0102", "0103", "0104", "0105", "0106", "0107", "0301", "0302", "0303",
    "0304", "0401", "0402", "0403", "0404", "0501", "0502", "0503", "0504", "0505",
)  # fmt: skip
_UNITS = ("U/L", "g/L", "umol/L", "mmol/L")
_RANGES = ("9--50", "65--85", "3.4--20.5", "3.9--6.1")
_NAMES = ("王珅", "李玘", "赵一", "钱国强", "孙小妹", "周芳", "吴建国", "郑秀英")
_COLUMNS = "BRID,XM,XB,CSRQ,SFZH,BGDH,BBLX,XMDM,XMMC,JG,DW,CKFW,TS,CYSJ,BGSJ,ZT,GXSJ"
_PERSON = 3  # reports


def oru(number: int) -> bytes:
    """An ORU^R01 of 20 results in GB18030, as the pretend people's hospital sends it."""
    person = number // _PERSON
    at = _stamp(number)
    lines = [
        f"MSH|^~\\&|LIS|330421A|GATEWAY|330421|{at}||ORU^R01|L{number:010}|P|2.4|||AL|AL|CHN|GBK",
        f"PID|1||{person + 1000:010}^^^330421A&HIS^MR||{_NAMES[person % 8]}||{_born(person)}|{'MF'[person % 2]}"
        "||01^汉族|浙江省嘉善县罗星街道||13800000000|||2",
        f"PV1|1|O|0203^心内科门诊|||||D{person % 90:04}^李玘|||||||||||{at[:8]}{number:06}",
        f"OBR|1|R{number:09}|S{number:09}|LFT^肝功能|||{_stamp(number, 2)}|||||||{_stamp(number, 1)}"
        f"|SER^血清|D{person % 90:04}^李玘||||||{at}||CH|F",
    ]
    for place, code in enumerate(_OF_PEOPLE, 1):
        flag = "↑" if (number + place) % 9 == 0 else ""
        lines.append(
            f"OBX|{place}|NM|{code}^【全国HR】项目{code}||{_result(number, place)}|{_UNITS[place % 4]}"
            f"|{_RANGES[place % 4]}|{flag}|||F|||{_stamp(number, 0)}|LAB01|张三|速率法|AU5800-2"
        )
    return ("\r".join(lines) + "\r").encode("gb18030")


def rows(first: int, reports: int) -> bytes:
    """CSV of `reports` reports of 20 rows in GB18030, as the laboratory view of the pretend TCM hospital gives it."""
    return "\n".join([_COLUMNS, *_rows(first, reports)]).encode("gb18030")


def _rows(first: int, reports: int) -> Iterator[str]:
    for number in range(first, first + reports):
        person = number // _PERSON
        day, clock = "2026-03-02", _clock(number)
        opening = f"T{person:06},{_NAMES[person % 8]},{'男女'[person % 2]},{_born(person)},,R{number:08},血清"
        closing = f"{day} 07:{clock[3:]},{day} {clock},2,{day} {clock}"
        for place, code in enumerate(_OF_TCM, 1):
            flag = "↑" if (number + place) % 9 == 0 else ""
            yield (
                f"{opening},{code},项目{code},{_result(number, place)},{_UNITS[place % 4]},"
                f"{_RANGES[place % 4]},{flag},{closing}"
            )


def cda(number: int) -> bytes:
    """A laboratory report of 20 items by WS/T 500.7, one organizer an item, as the pretend TCM hospital's EMR writes it."""
    person = number // _PERSON
    at = _stamp(number)
    items = "".join(_item(number, place, code) for place, code in enumerate(_OF_TCM, 1))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        '<realmCode code="CN"/><typeId root="2.16.840.1.113883.1.3" extension="POCD_MT000040"/>'
        '<templateId root="2.16.156.10011.2.1.1.27"/>'
        f'<id root="2.16.156.10011.1.1" extension="D{number:010}"/>'
        '<code code="C0007" codeSystem="2.16.156.10011.2.4"/><title>检验报告</title>'
        f'<effectiveTime value="{at}"/><languageCode code="zh-CN"/>'
        '<recordTarget typeCode="RCT"><patientRole classCode="PAT">'
        f'<id root="2.16.156.10011.1.11" extension="T{person:06}"/>'
        f'<id root="2.16.156.10011.1.33" extension="BG{number:010}"/>'
        f'<id root="2.16.156.10011.1.24" extension="SQ{number:010}"/>'
        f'<id root="2.16.156.10011.1.14" extension="BB{number:010}"/>'
        f'<patient classCode="PSN"><name>{_NAMES[person % 8]}</name>'
        f'<administrativeGenderCode code="{person % 2 + 1}" codeSystem="2.16.156.10011.2.3.3.4"/>'
        f'<birthTime value="{_born(person)}"/></patient></patientRole></recordTarget>'
        f'<author typeCode="AUT"><time value="{at}"/><assignedAuthor classCode="ASSIGNED">'
        '<id root="2.16.156.10011.1.7" extension="D012"/><assignedPerson><name>李玘</name></assignedPerson>'
        "</assignedAuthor></author><component><structuredBody><component><section>"
        '<code code="30954-2" codeSystem="2.16.840.1.113883.6.1"/><text/>'
        f"{items}</section></component></structuredBody></component></ClinicalDocument>"
    ).encode()


def _item(number: int, place: int, code: str) -> str:
    specimen = _observation(
        "DE04.50.134.00",
        f'<effectiveTime><low value="{_stamp(number, 2)}"/></effectiveTime><value xsi:type="ST">血清</value>',
    )
    unit = _observation("DE04.30.016.00", f'<value xsi:type="ST">{_UNITS[place % 4]}</value>')
    item = _observation(
        "DE04.30.019.00",
        f'<effectiveTime value="{_stamp(number, 0)}"/><value xsi:type="ST">{code}</value>{_within(specimen)}',
    )
    result = _observation(
        "DE04.30.015.00",
        f'<value xsi:type="REAL" value="{_result(number, place)}"/>{_within(unit)}',
    )
    return (
        '<entry><organizer classCode="CLUSTER" moodCode="EVN"><statusCode/>'
        f"<component>{item}</component><component>{result}</component></organizer></entry>"
    )


def _observation(code: str, content: str) -> str:
    return (
        f'<observation classCode="OBS" moodCode="EVN"><code code="{code}"'
        f' codeSystem="2.16.156.10011.2.2.1" codeSystemName="卫生信息数据元目录"/>{content}</observation>'
    )


def _within(observation: str) -> str:
    return f'<entryRelationship typeCode="COMP">{observation}</entryRelationship>'


def _result(number: int, place: int) -> str:
    """One of some hundreds for each item, always with its last digit written."""
    return f"{(number * 7 + place * 13) % 60 + place}.{(number + place) % 10}0"


def _born(person: int) -> str:
    return f"{1940 + person % 80}{person % 12 + 1:02}{person % 28 + 1:02}"


def _clock(number: int) -> str:
    return f"{8 + number // 3600 % 10:02}:{number // 60 % 60:02}:{number % 60:02}"


def _stamp(number: int, hours_before: int = 0) -> str:
    clock = _clock(number)
    return f"20260302{int(clock[:2]) - hours_before:02}{clock[3:5]}{clock[6:]}"
