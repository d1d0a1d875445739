"""Who the patient is: identifiers checked and canonicalised, names kept whole, borrowed numbers found out.

An identifier that must not be used to recognise the person (a failed check digit, a 15-digit legacy
number, the mother's number on a newborn) stays in the Patient with ``use: secondary`` and the
extension ``not-for-linking``, and is left out of `Message.identifiers`.
"""

from __future__ import annotations

import re
from datetime import date

import msgspec

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
_NEWBORN = re.compile(r".之(?:[大小长次双]?[子女婴]|婴儿)|婴儿$")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_NO_NUMBER = re.compile(r"0+|9{4,}|0?12345678?9?|[Xx*\-/.]+|无|未知|不详|NULL|null|None|none")
_PLACEHOLDER = re.compile(r"(.)\1+|0?1234567\d*|[0Xx*\-/.]+|无|未知|不详|NULL|null|None|none")


class Checked(msgspec.Struct, frozen=True):
    """An identifier value after checking. `issue` is a code or empty; a refused one has no value."""

    value: str
    usable: bool
    issue: str = ""


def resident_id(text: str) -> Checked:
    """Normalise and check a resident ID number (GB 11643): half-width, upper-case X, 18 digits.

    Cyrillic Х and masks are refused, not repaired: they say that somebody typed or hid something.
    """
    folded = "".join(
        chr(ord(sign) - 0xFEE0) if 0xFF01 <= ord(sign) <= 0xFF5E else sign for sign in text
    )
    value = re.sub(r"[\s\-\u3000]", "", folded).upper()
    if re.fullmatch(r"[0-9]{15}", value):
        if _PLACEHOLDER.fullmatch(value):
            return Checked("", False, "resident-id-placeholder")
        return Checked(value, False, "resident-id-15")
    if not re.fullmatch(r"[0-9]{17}[0-9X]", value):
        return Checked("", False, "resident-id-form")
    if _PLACEHOLDER.fullmatch(value) or value.startswith("123456789") or value[6:14] == "19000101":
        return Checked("", False, "resident-id-placeholder")
    total = sum(int(digit) * weight for digit, weight in zip(value, _WEIGHTS, strict=False))
    if _CHECK[total % 11] != value[17] or born(value) is None:
        return Checked(value, False, "resident-id-check")
    return Checked(value, True)


def local_number(text: str) -> Checked:
    """A hospital or card number: trimmed, placeholders refused."""
    value = text.strip()
    if not value or _NO_NUMBER.fullmatch(value):
        return Checked("", False, "id-placeholder")
    return Checked(value, True)


def born(number: str) -> date | None:
    """The birth date inside an 18-digit number, or None when it is no date."""
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def sex_of(number: str) -> str:
    """male or female by the sequence; empty for the unissued sequence 000."""
    if number[14:17] == "000":
        return ""
    return "male" if int(number[16]) % 2 else "female"


def mothers_number(number: str, name: str, birth_date: str) -> bool:
    """Whether an ID number is probably the mother's: the name says so, or the person is ten years younger."""
    if _NEWBORN.search(name):
        return True
    owner = born(number)
    return owner is not None and birth_date[:4].isdigit() and int(birth_date[:4]) - owner.year > 10


def human_names(parts: tuple[str, ...]) -> list[dict[str, object]]:
    """FHIR names of an HL7 name: a Chinese name whole in text, pinyin apart, Latin names split.

    Chinese senders put the whole name into the first component, or the Chinese name into *given* and
    pinyin into *family*; surnames are never split off.
    """
    cleaned = [re.sub(r"\s+", " ", part.split("&", 1)[0]).strip() for part in parts[:3]]
    family, given, middle = (*cleaned, "", "", "")[:3]
    if not (family or given):
        return []
    han_family, han_given = bool(_HAN.search(family)), bool(_HAN.search(given))
    if not han_family and not han_given:
        shown = " ".join(part for part in (given, middle, family) if part)
        name: dict[str, object] = {"text": shown}
        if given:
            name |= {"family": family} if family else {}
            name["given"] = [part for part in (given, middle) if part]
        return [name]
    if han_family and han_given:
        return [{"text": family + given}]
    chinese, pinyin = (family, given) if han_family else (given, family)
    names: list[dict[str, object]] = [{"text": chinese.replace("  ", " ")}]
    if pinyin:
        names.append(
            {
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation",
                        "valueCode": "SYL",
                    }
                ],
                "text": pinyin,
            }
        )
    return names
