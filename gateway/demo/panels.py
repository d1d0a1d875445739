"""What the laboratories of the pretend county measure, and the values they find.

Only what a laboratory really prints is here: the local abbreviation, the name, the unit as that
house spells it, the range as text. What a code means is said by the maps, not here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.demo.dice import Dice

DICE = Dice("laboratory")


@dataclass(frozen=True, slots=True)
class Item:
    """One analyte as one house prints it.

    `low` and `high` bound healthy values in units of the last printed digit; `words` are the values
    of a qualitative item, the ordinary one first.
    """

    code: str
    name: str
    unit: str
    range: str
    low: int = 0
    high: int = 0
    digits: int = 0
    words: tuple[str, ...] = ()
    mark: str = ""
    method: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """What is ordered together, and the material it is measured in."""

    code: str
    name: str
    specimen: str
    specimen_name: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """One value as printed. `state` is a letter of HL7 table 0085."""

    item: Item
    value: str
    flag: str = ""
    state: str = "F"


NATIONAL = "【全国HR】"
STAR = "★"
PROVINCE = "【浙江HR】"

LIVER = Panel(
    "LFT",
    "肝功能",
    "SER",
    "血清",
    (
        Item("ALT", "丙氨酸氨基转移酶", "U/L", "9--50", 90, 500, 1, (), NATIONAL, "速率法"),
        Item("AST", "天门冬氨酸氨基转移酶", "U/L", "15--40", 150, 400, 1, (), NATIONAL, "速率法"),
        Item("GGT", "γ-谷氨酰基转移酶", "U/L", "10--60", 100, 600, 1, (), NATIONAL, "速率法"),
        Item("ALP", "碱性磷酸酶", "U/L", "45--125", 450, 1250, 1, (), NATIONAL, "速率法"),
        Item("TP", "总蛋白", "g/L", "65--85", 650, 850, 1, (), NATIONAL, "双缩脲法"),
        Item("ALB", "白蛋白", "g/L", "40--55", 400, 550, 1, (), NATIONAL, "溴甲酚绿法"),
        Item("TBIL", "总胆红素", "μmol/L", "≤26.0", 50, 260, 1, (), NATIONAL, "钒酸盐法"),
    ),
)
LIPIDS = Panel(
    "LIP",
    "血脂",
    "SER",
    "血清",
    (
        Item("TC", "总胆固醇", "mmol/L", "<5.20", 310, 519, 2, (), NATIONAL, "酶法"),
        Item("TG", "甘油三酯", "mmol/L", "<1.70", 50, 169, 2, (), NATIONAL, "酶法"),
        Item("HDL-C", "高密度脂蛋白胆固醇", "mmol/L", ">=1.00", 100, 190, 2, (), "", "直接法"),
        Item("LDL-C", "低密度脂蛋白胆固醇", "mmol/L", "<3.40", 150, 339, 2, (), "", "直接法"),
    ),
)
KIDNEY = Panel(
    "REN",
    "肾功能",
    "SER",
    "血清",
    (
        Item("UREA", "尿素", "mmol/L", "3.1--8.0", 310, 800, 2, (), NATIONAL, "脲酶法"),
        Item("CREA", "肌酐(酶法)", "μmol/L", "57--97", 570, 970, 1, (), NATIONAL, "酶法"),
        Item("UA", "尿酸", "μmol/L", "208--428", 208, 428, 0, (), NATIONAL, "酶法"),
        Item("FPG", "空腹血糖", "mmol/L", "3.9--6.1", 390, 610, 2, (), PROVINCE, "己糖激酶法"),
    ),
)
BLOOD_COUNT = Panel(
    "CBC",
    "血常规",
    "BLD",
    "全血",
    (
        Item("WBC", "白细胞计数", "10^9/L", "3.5--9.5", 350, 950, 2, (), NATIONAL, "流式法"),
        Item("RBC", "红细胞计数", "10^12/L", "4.3--5.8", 430, 580, 2, (), NATIONAL, "阻抗法"),
        Item("HGB", "血红蛋白", "g/L", "130--175", 130, 175, 0, (), NATIONAL, "比色法"),
        Item("PLT", "血小板计数", "10^9/L", "125--350", 125, 350, 0, (), NATIONAL, "阻抗法"),
        Item("NEUT%", "中性粒细胞百分数", "%", "40--75", 400, 750, 1, (), "", "流式法"),
    ),
)
HEPATITIS_B = Panel(
    "HBV",
    "乙肝五项",
    "SER",
    "血清",
    (
        Item("HBsAg", "乙肝表面抗原", "COI", "<1.0", words=("阴性(-)", "阳性(+)"), mark=STAR),
        Item("HBsAb", "乙肝表面抗体", "mIU/mL", "<10.00", 0, 9999, 2, method="化学发光法"),
        Item("HBeAg", "乙肝e抗原", "", "阴性", words=("阴性(-)",)),
        Item("HBeAb", "乙肝e抗体", "", "阴性", words=("阴性(-)", "弱阳性")),
        Item("HBcAb", "乙肝核心抗体", "", "阴性", words=("阴性(-)", "阳性(+)")),
    ),
)
URINE = Panel(
    "URT",
    "尿常规",
    "UR",
    "尿液",
    (
        Item("PRO", "尿蛋白", "", "阴性", words=("阴性(-)", "±", "+", "++"), mark=STAR),
        Item("GLU", "尿葡萄糖", "", "阴性", words=("阴性(-)", "1+", "2+"), mark=STAR),
        Item("BLD", "尿隐血", "", "阴性", words=("阴性(-)", "±", "+++")),
        Item("PH", "酸碱度", "", "4.5--8.0", 50, 75, 1),
        Item("SG", "比重", "", "1.003--1.030", 1005, 1028, 3),
        Item("WBC-M", "镜检白细胞", "/HP", "0--5", words=("0-1", "2-4", "8-12")),
    ),
)
IMMUNE = Panel(
    "ANA",
    "自身抗体与心肌标志物",
    "SER",
    "血清",
    (
        Item(
            "ANA",
            "抗核抗体",
            "",
            "<1:80",
            words=("1:80", "1:160", "<1:80"),
            method="间接免疫荧光法",
        ),
        Item("hs-cTnI", "高敏肌钙蛋白I", "ng/mL", "<0.04", words=("<0.01", "<0.01", "0.02")),
        Item("CRP", "C反应蛋白", "mg/L", "<10", 5, 99, 1),
    ),
)
PANELS = (LIVER, LIPIDS, KIDNEY, BLOOD_COUNT, HEPATITIS_B, URINE, IMMUNE)


def results(panel: Panel, *about: object) -> tuple[Result, ...]:
    """Believable values of a panel for one specimen; about one numeric value in eight is too high."""
    return tuple(_result(item, *about) for item in panel.items)


def fixed(panel: Panel, values: dict[str, tuple[str, str]]) -> tuple[Result, ...]:
    """The items of a panel with exactly these values and flags; items not named are left out."""
    return tuple(Result(i, *values[i.code]) for i in panel.items if i.code in values)


def again(results: tuple[Result, ...], code: str, value: str, state: str) -> tuple[Result, ...]:
    """The same results with one of them said differently later."""
    return tuple(
        replace(one, value=value, state=state, flag="") if one.item.code == code else one
        for one in results
    )


def decimal(number: int, digits: int) -> str:
    """610 with two digits is `6.10`: trailing zeros are part of what was measured."""
    if not digits:
        return str(number)
    text = f"{number:0{digits + 1}d}"
    return f"{text[:-digits]}.{text[-digits:]}"


def _result(item: Item, *about: object) -> Result:
    if item.words:
        usual = DICE.chance(80, *about, item.code, "usual")
        value = item.words[0] if usual else DICE.pick(item.words, *about, item.code)
        return Result(item, value)
    number = DICE.between(item.low, item.high, *about, item.code)
    if item.high and DICE.chance(12, *about, item.code, "high") and item.range[0] != ">":
        number = item.high + 1 + DICE.number(item.high, *about, item.code, "by")
        return Result(item, decimal(number, item.digits), "↑")
    return Result(item, decimal(number, item.digits))
