"""Codes in words anybody of twelve reads: short, without a term of the trade."""

from __future__ import annotations

from gateway.portal.words import N_, Mark

# What may be agreed to. The sentence is what the resident says; %(who)s and %(what)s are filled in.
KINDS = {
    "share": N_("给我看病的医院可以看"),
    "category": N_("一家医院可以看某一类特别的记录"),
    "refuse-all": N_("别的医院都不能看"),
    "refuse-organization": N_("有一家医院不能看"),
    "other": N_("另外约定的"),
}

# v3-ActCode sensitivities, as somebody would say them at home.
CATEGORIES = {
    "BH": N_("心理和行为方面"),
    "ETH": N_("喝酒和用药成瘾方面"),
    "GDIS": N_("基因检查方面"),
    "HIV": N_("艾滋病检查方面"),
    "MH": N_("心理方面"),
    "PSY": N_("心理科和精神科"),
    "SDV": N_("受到伤害方面"),
    "SEX": N_("生育和性方面"),
    "STD": N_("性病方面"),
    "SUD": N_("戒酒戒毒方面"),
}

STATES = {
    "active": Mark("●", N_("现在有效"), "good"),
    "refusing": Mark("!", N_("只有“不许看”还有效"), "warn"),
    "doubted": Mark("!", N_("停了，要重新签"), "warn"),
    "withdrawn": Mark("○", N_("已经收回"), "quiet"),
    "superseded": Mark("○", N_("已被新的取代"), "quiet"),
    "expired": Mark("○", N_("已经到期"), "quiet"),
}

PROOFS = {
    "code": N_("用手机验证码签的"),
    "paper": N_("在登记台签了纸，扫描件已存好"),
    "other": N_("由别处送来"),
}

GROUNDS = {
    "guardian": N_("孩子的父母或监护人"),
    "court": N_("法院指定的监护人"),
    "mandate": N_("本人委托的人"),
    "heir": N_("去世者的近亲"),
}

RIGHT_STATES = {
    "running": Mark("●", N_("可以代办"), "good"),
    "stopped": Mark("‖", N_("已被叫停"), "bad"),
    "ended": Mark("○", N_("已经结束"), "quiet"),
    "waiting": Mark("…", N_("对方还没有账户"), "quiet"),
}

NOTICES = {
    "emergency": N_("抢救时，有医生看了您的记录。"),
    "answer": N_("您问的事有答复了。"),
    "consent-elsewhere": N_("有人为您登记了一项同意。请看看对不对。"),
    "consent-doubted": N_("医院改正了一个身份证号，以前签的一项同意停了。请重新签。"),
    "self-claim": N_("有医生说正在给您看病，看了您的记录。"),
}
NOTICE_OTHERWISE = N_("您有一条新消息。请看“谁看过”。")

# What was done, by kinds of gateway.audit.events.
DEEDS = {
    "read": N_("看了一份记录"),
    "search": N_("查找记录"),
    "everything": N_("看了检查和化验结果"),
    "disclosure": N_("把记录交给了别处"),
    "export": N_("取走了一份副本"),
    "create": N_("写下新的记录"),
    "update": N_("改了记录"),
    "filed": N_("医院送来新的记录"),
    "quarantined": N_("医院送来的记录没读懂，先放着"),
    "decision": N_("判断能不能看"),
    "consent-create": N_("登记了一项同意"),
    "consent-withdraw": N_("收回了一项同意"),
    "consent-explain": N_("问了谁能看这些记录"),
    "signing-code": N_("发出签字用的验证码"),
    "signature": N_("用验证码签了字"),
    "recognition-prompt": N_("提醒医生有别处的结果"),
    "recognition-feedback": N_("医生关闭了提醒"),
    "recognition-view": N_("看了能不能不重做检查"),
    "recognition-decision": N_("决定要不要重做检查"),
    "recognition-revocation": N_("收回了那个决定"),
    "recognition-alert": N_("得知所依据的结果有变更"),
    "recognition-evidence": N_("查看了那个决定的依据"),
    "presence": N_("回答医生能不能看"),
    "relabel": N_("重新给记录分类"),
    "relationship-claim": N_("说自己正在给您看病"),
    "break-glass": N_("因为抢救，先看后报"),
    "own-account": N_("办理您的账户"),
    "mandate": N_("办理谁能替您办事"),
    "review": N_("检查别人看得对不对"),
    "notice": N_("给您发了消息"),
    "audit-read": N_("看了“谁看过”的名单"),
    "link": N_("把两处的记录认作一个人"),
    "unlink": N_("把认错的记录分开"),
}
DEED_OTHERWISE = N_("做了别的事")

WHO = {
    "clinician": N_("医生"),
    "registrar": N_("登记台的工作人员"),
    "auditor": N_("检查名单的人"),
    "privacy": N_("保护您隐私的人"),
    "it": N_("管电脑的人"),
    "operator": N_("管系统的人"),
    "patient": N_("您自己"),
    "representative": N_("替您办事的人"),
    "system": N_("电脑自动"),
}
WHO_OTHERWISE = N_("工作人员")

# Why it was allowed: reasons of the consent decision.
BECAUSE = {
    "directive": N_("因为您同意过"),
    "county-default": N_("因为县里的规定允许"),
    "patient-present": N_("因为您当时在场点了头"),
    "own-source": N_("因为是这家医院自己写的"),
    "statutory": N_("因为法律要求"),
    "data-subject": N_("因为是您自己"),
    "representative": N_("因为这个人替您办事"),
    "break-glass-over-default": N_("因为抢救"),
    "break-glass-over-directive": N_("因为抢救"),
}


DOCUMENTS = {
    "birth-certificate": N_("出生证明"),
    "household-register": N_("户口簿"),
    "guardianship": N_("监护证明"),
    "court-ruling": N_("法院裁定书"),
    "signed-mandate": N_("本人签字的委托书"),
    "kinship": N_("亲属关系证明"),
}

RELATIONS = {
    "parent": N_("父母"),
    "guardian": N_("监护人"),
    "spouse": N_("配偶"),
    "child": N_("子女"),
    "other": N_("其他"),
}

# What is wrong with what the desk typed, by the place that says so.
DESK_FAULTS = {
    "name": N_("姓名和身份证号不是同一个人的。请核对证件。"),
    "phone": N_("这不是手机号码。"),
    "age": N_("年龄不够，不能有自己的账户。由监护人代办。"),
    "number": N_("这个号码不能开账户。"),
    "code": N_("验证码不对，或已过期。"),
    "seen": N_("请先核对证件，再打勾。"),
    "standing": N_("这个人已经有账户了。"),
    "held": N_("这个人已经在代办了。"),
    "scan": N_("请选择证明材料的扫描件。"),
    "witness": N_("请填写一同核对材料的人。"),
    "document": N_("这份材料证明不了这种关系。"),
    "login": N_("代办人必须是成年人，有自己的账户，也不能是本人。"),
    "ground": N_("这种代办权不适用于这位居民。"),
    "categories": N_("选择的类别不对。"),
    "until": N_("最后一天不对。"),
    "why": N_("请写明依据的文书。"),
}
