"""云溪县人民医院: HL7 v2.4 over MLLP in GB18030, with the faults real hospital systems have.

Meant faults: the bytes of some names hold delimiters,
`10^9/L` is not escaped, ranges have two hyphens, flags are arrows, OBX-4 is a running number,
quality marks are glued to item names, control ids repeat with other content, and a result may come
before its patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from gateway.demo.delivery import ER7, Delivery, moment
from gateway.demo.dice import Dice
from gateway.demo.panels import (
    BLOOD_COUNT,
    HEPATITIS_B,
    IMMUNE,
    KIDNEY,
    LIPIDS,
    LIVER,
    PANELS,
    URINE,
    Panel,
    Result,
    again,
    fixed,
    results,
)
from gateway.demo.residents import Resident

SOURCE = "people-his"
FACILITY = "330421A"
CHARSET = "gb18030"
DICE = Dice("people")
SEX = {"male": "M", "female": "F", "unknown": ""}
DOCTORS = ("D0012^李玘", "D0031^王若溪", "D0044^赵柏舟", "D0058^钱霁")
CLINICS = ("0203^心内科门诊", "0205^消化内科门诊", "0208^内分泌科门诊", "0101^全科门诊")
PSYCHIATRY = "0601^精神心理科"
DIAGNOSES = (
    "I10.x00^特发性(原发性)高血压",
    "E11.900^2型糖尿病",
    "J06.903^上呼吸道感染",
    "K29.500^慢性胃炎",
    "E78.500^高脂血症",
    "K76.000^脂肪肝",
)

LIVER_STORY = {
    "ALT": ("62.4", "↑"),
    "AST": ("38.0", ""),
    "GGT": ("71.5", "↑"),
    "ALP": ("88.0", ""),
    "TP": ("72.3", ""),
    "ALB": ("45.10", ""),
    "TBIL": ("13.20", ""),
}
LIPIDS_STORY = {
    "TC": ("6.10", "↑"),
    "TG": ("1.00", ""),
    "HDL-C": ("1.21", ""),
    "LDL-C": ("3.88", "↑"),
}
ULTRASOUND = (
    "肝脏形态大小正常,包膜光滑,实质回声增强,后方回声轻度衰减。\\.br\\"
    "胆囊大小约62×21mm,壁不厚,腔内未见异常回声。\\.br\\胰腺、脾脏未见明显异常。",
    "轻度脂肪肝声像图。胆囊、胰腺、脾脏未见明显异常。",
)
CHEST_CT = (
    "胸廓对称,两肺纹理清晰,右肺上叶见一小结节影,大小约4mm,边界清。\\.br\\"
    "气管及主支气管通畅。纵隔居中,未见肿大淋巴结。两侧胸腔无积液。",
    "右肺上叶微小结节,建议12个月后复查。",
)
MOOD = (
    "SDS标准分68分;SAS标准分61分;汉密尔顿抑郁量表(HAMD-17)21分。",
    "中度抑郁状态,伴焦虑情绪。结果仅供临床医师参考。",
)


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of a patient: PV1 and the diagnosis that goes with it."""

    patient: Resident
    mrn: str
    number: str
    at: datetime
    clinic: str
    doctor: str
    kind: str = "O"
    diagnosis: str = ""
    left: datetime | None = None


def stamp(at: datetime | date | None) -> str:
    """HL7 time: seconds for a moment, days for a date."""
    if at is None:
        return ""
    return f"{at:%Y%m%d%H%M%S}" if isinstance(at, datetime) else f"{at:%Y%m%d}"


def mrn(resident: Resident) -> str:
    """The hospital's own patient number; ten digits with leading zeros."""
    return "0000812345" if resident.key == "shen" else f"{DICE.number(10**6, resident.key):010d}"


def adt(event: str, visit: Visit, at: datetime, control_id: str, phone: str = "") -> bytes:
    """An ADT message about a visit (A01 admitted, A04 registered, A08 changed)."""
    diagnosis = []
    if visit.diagnosis:
        code, _, name = visit.diagnosis.partition("^")
        diagnosis = [f"DG1|1|ICD10|{code}^{name}|{name}|{stamp(visit.at)}|F"]
    return message(
        "HIS",
        f"ADT^{event}",
        at,
        control_id,
        [
            f"EVN|{event}|{stamp(at)}",
            patient(visit.patient, visit.mrn, phone),
            place(visit),
            *diagnosis,
        ],
    )


def oru(
    visit: Visit,
    panel: Panel,
    values: Sequence[Result],
    specimen: str,
    collected: datetime,
    at: datetime,
    control_id: str,
    status: str = "F",
) -> bytes:
    """A laboratory report; `status` is OBR-25 (HL7 table 0123)."""
    received = collected + timedelta(minutes=17)
    lines = [
        f"OBR|1|R{specimen}|S{specimen}|{panel.code}^{panel.name}|||{stamp(collected)}|||||||"
        f"{stamp(received)}|{panel.specimen}^{panel.specimen_name}|{visit.doctor}||||||"
        f"{stamp(at)}||CH|{status}"
    ]
    for number, one in enumerate(values, 1):
        item = one.item
        kind = "ST" if item.words or one.value[:1] in "<>" else "NM"
        lines.append(
            f"OBX|{number}|{kind}|{item.code}^{item.mark}{item.name}|{number}|{one.value}|"
            f"{item.unit}|{item.range}|{one.flag}|||{one.state}|||{stamp(at)}|LAB01|张三|"
            f"{item.method}|AU5800-2"
        )
    return message(
        "LIS",
        "ORU^R01",
        at,
        control_id,
        [patient(visit.patient, visit.mrn), place(visit), *lines],
    )


def reading(
    visit: Visit,
    exam: str,
    modality: str,
    text: tuple[str, str],
    number: str,
    at: datetime,
    control_id: str,
) -> bytes:
    """An examination reported as two texts: what was seen, and what the doctor thinks of it."""
    seen, thought = text
    return message(
        "RIS",
        "ORU^R01",
        at,
        control_id,
        [
            patient(visit.patient, visit.mrn),
            place(visit),
            f"OBR|1|R{number}|E{number}|{exam}|||{stamp(at - timedelta(hours=1))}|||||||||"
            f"{visit.doctor}||||||{stamp(at)}||{modality}|F",
            f"OBX|1|FT|YXSJ^检查所见|1|{seen}||||||F|||{stamp(at)}|RAD01|李四",
            f"OBX|2|FT|YXZD^检查印象|2|{thought}||||||F|||{stamp(at)}|RAD01|李四",
        ],
    )


def patient(resident: Resident, number: str, phone: str = "") -> str:
    """PID in the sample's shape: PID-3 local number, PID-19 resident ID number."""
    return (
        f"PID|1||{number}^^^{FACILITY}&HIS||{resident.name}||{stamp(resident.born)}|"
        f"{SEX[resident.sex]}||01^汉族|{resident.address}||{phone or resident.phone}|||2|||"
        f"{resident.number}"
    )


def place(visit: Visit) -> str:
    """PV1: class, department, doctor, visit number, and when it began and ended."""
    return (
        f"PV1|1|{visit.kind}|{visit.clinic}|||||{visit.doctor}|||||||||||{visit.number}"
        + "|" * 25
        + f"{stamp(visit.at)}|{stamp(visit.left)}"
    ).rstrip("|")


def message(
    sender: str, kind: str, at: datetime, control_id: str, segments: Iterable[str]
) -> bytes:
    """The segments under an MSH, ended by carriage returns, in GB18030."""
    head = (
        f"MSH|^~\\&|{sender}|{FACILITY}|GATEWAY|330421|{stamp(at)}||{kind}|{control_id}|P|2.4"
        "|||AL|AL|CHN|GBK"
    )
    return "".join(f"{line}\r" for line in (head, *segments)).encode(CHARSET)


def _delivery(raw: bytes, at: datetime, about: str = "") -> Delivery:
    control_id = raw.split(b"\r", 1)[0].split(b"|")[9].decode("ascii")
    return Delivery(SOURCE, "mllp", ER7, raw, at, about, control_id)


def deliveries(folk: Sequence[Resident], today: date) -> Iterator[Delivery]:
    """Everything this hospital sends, in the order it sends it."""
    named = {one.key: one for one in folk}
    everything = [*_story(named["shen"], today), *_restricted(named["restricted"], today)]
    everything += _troubles(named, today)
    told = {"shen", "restricted", "mistaken", "qi", "newborn", "fang-elder", "fang-younger"}
    for index, one in enumerate(folk):
        ordinary = one.key not in told and (one.trap or one.will != "broad" or index % 2 == 0)
        if ordinary:
            everything += _ordinary(one, today, index)
    yield from sorted(everything, key=lambda delivery: delivery.at)


def _visit(one: Resident, today: date, days_ago: int, serial: int, **more: str) -> Visit:
    at = moment(today, days_ago, "07:40") + timedelta(seconds=serial % 3600)
    return Visit(
        patient=one,
        mrn=more.get("mrn") or mrn(one),
        number=f"{at:%Y%m%d}{serial:06d}",
        at=at,
        clinic=more.get("clinic") or DICE.pick(CLINICS, one.key, serial),
        doctor=more.get("doctor") or DICE.pick(DOCTORS, one.key, serial),
        kind=more.get("kind", "O"),
        diagnosis=more.get("diagnosis", ""),
    )


def _story(one: Resident, today: date) -> Iterator[Delivery]:
    """The patient to look up: liver panel six days ago, an ultrasound, a CT, an open admission."""
    visit = _visit(
        one,
        today,
        6,
        456,
        clinic=CLINICS[0],
        doctor=DOCTORS[1],
        diagnosis="I10.x00^特发性(原发性)高血压",
    )
    yield _delivery(adt("A04", visit, visit.at, f"H{visit.at:%Y%m%d}000456"), visit.at, "story")
    collected, at = moment(today, 6, "07:58"), moment(today, 6, "10:21")
    day = f"{at:%Y%m%d}"
    liver = oru(
        visit, LIVER, fixed(LIVER, LIVER_STORY), f"{day}001", collected, at, f"L{day}000123"
    )
    yield _delivery(liver, at, "story")
    lipids = fixed(LIPIDS, LIPIDS_STORY)
    at = moment(today, 6, "10:40")
    yield _delivery(
        oru(visit, LIPIDS, lipids, f"{day}002", collected, at, f"L{day}000131"), at, "story"
    )
    for panel, serial in ((BLOOD_COUNT, 3), (HEPATITIS_B, 4), (URINE, 5), (IMMUNE, 6)):
        at = moment(today, 6, "11:00") + timedelta(minutes=serial)
        raw = oru(
            visit,
            panel,
            results(panel, one.key),
            f"{day}{serial:03d}",
            collected,
            at,
            f"L{day}00014{serial}",
        )
        yield _delivery(raw, at, "story")
    at = moment(today, 5, "15:20")
    day = f"{at:%Y%m%d}"
    yield _delivery(
        reading(visit, "US0012^肝胆胰脾彩超", "US", ULTRASOUND, f"{day}901", at, f"R{day}000901"),
        at,
        "ultrasound",
    )
    at = moment(today, 5, "16:05")
    yield _delivery(
        reading(visit, "CT0103^胸部CT平扫", "CT", CHEST_CT, f"{day}902", at, f"R{day}000902"),
        at,
        "ct",
    )
    ward = replace(
        visit,
        number=f"{day}000777",
        at=moment(today, 5, "17:00"),
        clinic="0703^心内科病区",
        kind="I",
    )
    yield _delivery(adt("A01", ward, ward.at, f"H{day}000777"), ward.at, "admitted")
    at = moment(today, 4, "09:00")
    changed = adt("A08", ward, at, f"H{at:%Y%m%d}000801", phone="10013800000")
    yield _delivery(changed, at, "changed")


def _restricted(one: Resident, today: date) -> Iterator[Delivery]:
    """An ordinary visit with a blood count, and a psychiatric one with diagnosis and report."""
    visit = _visit(one, today, 20, 2001, clinic=CLINICS[3])
    yield _delivery(adt("A04", visit, visit.at, f"H{visit.number}"), visit.at, "restricted")
    at = visit.at + timedelta(hours=2)
    count = oru(
        visit,
        BLOOD_COUNT,
        results(BLOOD_COUNT, one.key),
        f"{at:%Y%m%d}701",
        visit.at,
        at,
        f"L{at:%Y%m%d}000701",
    )
    yield _delivery(count, at, "restricted")
    visit = _visit(one, today, 12, 2002, clinic=PSYCHIATRY, diagnosis="F32.100^中度抑郁发作")
    yield _delivery(adt("A04", visit, visit.at, f"H{visit.number}"), visit.at, "restricted")
    at = visit.at + timedelta(hours=1)
    report = reading(
        visit, "PSY001^精神心理测评", "PSY", MOOD, f"{at:%Y%m%d}711", at, f"R{at:%Y%m%d}000711"
    )
    yield _delivery(report, at, "restricted")


def _troubles(named: dict[str, Resident], today: date) -> Iterator[Delivery]:
    """One of each: corrected, cancelled, wrong patient, sent twice, control id again, result first."""
    yield from _mother_and_child(named["qi"], named["newborn"], today)
    yield from _corrections(named["nong"], today)
    yield from _mix_ups(named, today)
    yield from _repeats(named["zu"], today)
    visit = replace(_visit(named["nameless"], today, 3, 4001), mrn="")
    at = moment(today, 3, "11:11")
    raw = oru(visit, LIVER, results(LIVER, "lost"), "L001", visit.at, at, f"L{at:%Y%m%d}009001")
    yield _delivery(raw, at, "no patient number")


def _mother_and_child(mother: Resident, child: Resident, today: date) -> Iterator[Delivery]:
    """The child has its own chart, but the mother's resident ID number and her telephone."""
    ward = _visit(
        mother, today, 9, 3001, clinic="0801^产科病区", kind="I", diagnosis="O80.000^头位顺产"
    )
    yield _delivery(adt("A01", ward, ward.at, f"H{ward.number}"), ward.at, "mother")
    crib = _visit(child, today, 9, 3002, clinic="0802^新生儿科", kind="I")
    yield _delivery(adt("A01", crib, crib.at, f"H{crib.number}"), crib.at, "newborn")
    at = crib.at + timedelta(hours=5)
    raw = oru(
        crib,
        BLOOD_COUNT,
        results(BLOOD_COUNT, child.key),
        f"{at:%Y%m%d}811",
        crib.at,
        at,
        f"L{at:%Y%m%d}000811",
    )
    yield _delivery(raw, at, "newborn")


def _corrections(one: Resident, today: date) -> Iterator[Delivery]:
    """A creatinine that was wrong, a uric acid that is cancelled, and a specimen that was spoilt."""
    visit = _visit(one, today, 11, 3101)
    yield _delivery(adt("A04", visit, visit.at, f"H{visit.number}"), visit.at, "corrected")
    first = fixed(
        KIDNEY,
        {"UREA": ("7.20", ""), "CREA": ("884.0", "↑"), "UA": ("391", ""), "FPG": ("6.10", "")},
    )
    at = visit.at + timedelta(hours=2)
    specimen, day = f"{at:%Y%m%d}821", f"{at:%Y%m%d}"
    yield _delivery(
        oru(visit, KIDNEY, first, specimen, visit.at, at, f"L{day}000821"), at, "corrected"
    )
    at += timedelta(hours=3)
    second = again(first, "CREA", "88.40", "C")
    yield _delivery(
        oru(visit, KIDNEY, second, specimen, visit.at, at, f"L{day}000822", "C"), at, "corrected"
    )
    at += timedelta(hours=1)
    third = again(second, "UA", "", "X")
    yield _delivery(
        oru(visit, KIDNEY, third, specimen, visit.at, at, f"L{day}000823", "C"), at, "cancelled"
    )
    at += timedelta(days=1)
    spoilt = fixed(LIPIDS, {"TC": ("溶血", ""), "TG": ("<0.10", "")})
    day = f"{at:%Y%m%d}"
    yield _delivery(
        oru(visit, LIPIDS, spoilt, f"{day}824", at, at, f"L{day}000824"), at, "not a result"
    )


def _mix_ups(named: dict[str, Resident], today: date) -> Iterator[Delivery]:
    """A specimen of somebody else, taken back; and one specimen number under two people called 王芳."""
    one = named["mistaken"]
    visit = _visit(one, today, 10, 3201)
    yield _delivery(adt("A04", visit, visit.at, f"H{visit.number}"), visit.at, "wrong patient")
    at = visit.at + timedelta(hours=2)
    day = f"{at:%Y%m%d}"
    values = results(LIVER, one.key)
    yield _delivery(
        oru(visit, LIVER, values, f"{day}831", visit.at, at, f"L{day}000831"), at, "wrong patient"
    )
    at += timedelta(hours=4)
    taken_back = tuple(replace(value, state="W") for value in values)
    yield _delivery(
        oru(visit, LIVER, taken_back, f"{day}831", visit.at, at, f"L{day}000832", "C"),
        at,
        "wrong patient",
    )
    at = moment(today, 8, "10:00")
    day = f"{at:%Y%m%d}"
    for minutes, key in enumerate(("fang-elder", "fang-younger")):
        visit = _visit(named[key], today, 8, 3301 + minutes)
        yield _delivery(adt("A04", visit, visit.at, f"H{visit.number}"), visit.at, "same name")
        sent = at + timedelta(minutes=minutes)
        raw = oru(
            visit,
            KIDNEY,
            results(KIDNEY, key),
            f"{day}84{minutes}",
            visit.at,
            sent,
            f"L{day}00084{minutes}",
        )
        yield _delivery(raw, sent, "same name")
    visit = _visit(named["fang-younger"], today, 8, 3302)
    sent = at + timedelta(hours=1)
    raw = oru(
        visit, KIDNEY, results(KIDNEY, "fang-elder"), f"{day}840", visit.at, sent, f"L{day}000849"
    )
    yield _delivery(raw, sent, "specimen of another chart")


def _repeats(one: Resident, today: date) -> Iterator[Delivery]:
    """A result before its patient, the same bytes twice, and the same control id for other content."""
    visit = _visit(one, today, 7, 3401)
    at = visit.at
    day = f"{at:%Y%m%d}"
    values = results(LIPIDS, one.key)
    first = oru(visit, LIPIDS, values, f"{day}851", at, at, f"L{day}000851")
    yield _delivery(first, at, "result before patient")
    at += timedelta(minutes=20)
    yield _delivery(adt("A04", visit, at, f"H{visit.number}"), at, "result before patient")
    at += timedelta(minutes=10)
    yield _delivery(first, at, "duplicate")
    at += timedelta(minutes=10)
    other = oru(visit, URINE, results(URINE, one.key), f"{day}852", at, at, f"L{day}000851")
    yield _delivery(other, at, "control id again")


def _ordinary(one: Resident, today: date, index: int) -> Iterator[Delivery]:
    """One visit a while ago and one panel; the resident with two charts is registered twice."""
    days_ago = DICE.between(2, 85, one.key, "days")
    diagnosis = DICE.pick(DIAGNOSES, one.key) if DICE.chance(60, one.key, "diagnosed") else ""
    numbers = [mrn(one)] + (["0000999001"] if one.key == "twice" else [])
    for turn, number in enumerate(numbers):
        serial = 10_000 + 2 * index + turn
        visit = _visit(one, today, days_ago, serial, mrn=number, diagnosis=diagnosis)
        left = visit.at + timedelta(hours=9)
        visit = replace(visit, left=left)
        yield _delivery(adt("A04", visit, visit.at, f"H{visit.number}"), visit.at, one.trap)
        panel = DICE.pick(PANELS, one.key, turn)
        at = visit.at + timedelta(hours=2, minutes=DICE.number(90, one.key))
        specimen = f"{at:%Y%m%d}{serial}"
        raw = oru(
            visit, panel, results(panel, one.key, turn), specimen, visit.at, at, f"L{specimen}"
        )
        yield _delivery(raw, at, one.trap)
