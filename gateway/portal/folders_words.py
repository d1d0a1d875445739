"""Codes of the folders' worklist in words; every sentence here is marked for translation."""

from __future__ import annotations

from gateway.exchange.pairing import Answer
from gateway.identity.matching import Ground
from gateway.portal.words import N_, Mark

STATES = {
    "possible": Mark("?", N_("规则拿不准"), "warn"),
    "merge": Mark("⇄", N_("医院说是同一人"), "warn"),
    "contradicted": Mark("!", N_("医院说是同一人，号码却不同"), "bad"),
    "joined": Mark("＝", N_("同一人"), "good"),
    "parted": Mark("≠", N_("不是同一人"), "quiet"),
}
SAYS = {
    "possible": N_(
        "本县的匹配规则认为可能是同一个人，但不足以自动关联。答“同一人”以前，两份档案互不相干。"
    ),
    "merge": N_(
        "医院发来合并消息，两份档案已按一人处理；居民本人确认以前，一份里的许可不会打开另一份的受限内容。"
    ),
    "contradicted": N_(
        "医院说两份属于同一人，但它们写着不同的身份证号。有人作答以前，两份里的内容谁都看不到（抢救除外）。"
    ),
    "joined": N_("两份档案按一人处理。"),
    "parted": N_("两份档案按两个人处理。"),
}
TIERS = {
    0: N_("现在的资料不足以认为是同一个人"),
    1: N_("资料一致：按规则是同一个人"),
    2: N_("可能是同一个人，须有人核对"),
}
FIELDS = {
    "name": N_("姓名"),
    "sex": N_("性别"),
    "birth": N_("出生日期"),
    "number": N_("身份证号"),
    "death": N_("死亡日期"),
}
VERDICTS = {
    "same": Mark("＝", N_("相同"), "good"),
    "similar": Mark("≈", N_("相近"), "warn"),
    "other": Mark("≠", N_("不同"), "bad"),
    "missing": Mark("–", N_("缺一方"), "quiet"),
}
GROUNDS = {
    Ground.SAME_NUMBER: N_("身份证号相同"),
    Ground.SAME_NAME: N_("姓名相同或相近"),
    Ground.SAME_BIRTH: N_("出生日期相同"),
    Ground.SAME_PHONE: N_("电话相同"),
    Ground.SAME_INSURANCE: N_("医保号相同"),
    Ground.NO_NUMBER: N_("至少一方没有有效身份证号"),
    Ground.OTHER_NUMBER: N_("身份证号不同"),
    Ground.LEGACY_NUMBER: N_("使用 15 位旧证号，无校验码"),
    Ground.MOTHERS_NUMBER: N_("疑似新生儿使用母亲证件"),
    Ground.OTHER_NAME: N_("姓名不同"),
    Ground.NO_NAME: N_("姓名缺失或为无名氏"),
    Ground.OTHER_BIRTH: N_("出生日期矛盾"),
    Ground.OTHER_SEX: N_("性别矛盾"),
}
ANSWERS: dict[Answer, str] = {
    "one": N_("同一人"),
    "two": N_("不是同一人"),
    "later": N_("稍后再看"),
    "undone": N_("收回前一个回答"),
}
WHY = {
    "resident": N_("等居民本人到场"),
    "papers": N_("等调出纸质病历"),
    "hospital": N_("等医院答复或更正"),
    "other": N_("其他原因"),
}
MISSING = {
    "pair": N_("这一对刚刚有人处理过，您的回答没有记录。下面是现在的情况。"),
    "answer": N_("两份档案写着不同的身份证号，不能答“同一人”。若确是同一人，请医院先更正号码。"),
    "why": N_("稍后再看要选一个原因。"),
}
