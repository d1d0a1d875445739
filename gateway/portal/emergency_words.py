"""Words of emergency access, second factors and the privacy officer's cases; codes in, sentences out."""

from __future__ import annotations

from gateway.portal.words import N_, Mark

REASONS = {
    "unconscious": N_("昏迷或无法表达，身边没有能代为同意的人"),
    "life-threatening": N_("危及生命的急症，来不及取得同意"),
    "child-alone": N_("儿童急症，联系不到监护人"),
    "disaster": N_("突发事件，成批伤员"),
    "other": N_("其他紧急情况（请在说明里写清）"),
}

# What is missing or wrong in a form.
MISSING = {
    "number": N_("请填写要查的号码。"),
    "reason": N_("请选择一项理由。"),
    "words": N_("说明太短或没有内容：请写清发生了什么、为什么现在必须查阅。"),
    "hold": N_("请写清告知会使谁陷入什么危险。"),
    "code": N_("验证码不对、已用过或已过期。请输入验证器上的新验证码；连续输错会暂时锁定。"),
    "second": N_("今天的紧急查阅次数已用完。请本院另一位医生在此输入账户、密码和验证码表示同意。"),
    "told": N_("请写给居民的答复。"),
    "verdict": N_("请选择结论。"),
    "case-words": N_("请用几句话说明（至少 6 个字）。"),
}

CASE_KINDS = {
    "emergency": N_("紧急查阅"),
    "self-claim": N_("自述诊疗关系"),
    "question": N_("居民提问"),
    "suspension": N_("账户停用"),
}

CASE_STATES = {
    "open": Mark("●", N_("待处理"), "warn"),
    "taken": Mark("…", N_("处理中"), "quiet"),
    "asked": Mark("?", N_("等待当事人答复"), "quiet"),
    "second": Mark("2", N_("等待第二人确认"), "warn"),
    "closed": Mark("✓", N_("已办结"), "good"),
}

VERDICTS = {
    "justified": N_("有正当理由"),
    "not-justified": N_("没有正当理由（须第二人确认）"),
    "answered": N_("已查明并答复居民"),
    "lifted": N_("恢复账户（须第二人确认）"),
}

ROLES = {
    "reason": N_("查阅者的说明"),
    "resident": N_("居民的话"),
    "question": N_("向当事人提问"),
    "answer": N_("当事人答复"),
    "verdict": N_("结论"),
    "told": N_("给居民的答复"),
    "second": N_("第二人同意"),
    "reopened": N_("第二人不同意，退回重查"),
}

# What was found beside a case; a number goes with some.
SIGNS = {
    "encounter": N_("该院在此前后一天内有该居民的就诊登记"),
    "no-encounter": N_("该院在此前后一天内没有该居民的就诊登记"),
    "ordinary": N_("当时已有诊疗关系，本不必紧急查阅"),
    "not-ordinary": N_("当时没有登记的诊疗关系"),
    "own-name": N_("居民与查阅者同名同姓"),
    "same-surname": N_("居民与查阅者同姓"),
    "colleague": N_("居民与本院一位同事同名"),
    "out-of-hours": N_("在工作时间以外"),
    "by-person": N_("此人此前 30 天的紧急查阅次数："),
    "same-reason": N_("其中理由相同的次数："),
    "by-unit": N_("该机构此前 30 天的紧急查阅次数："),
    "second": N_("有第二位医生在场同意"),
    "ended": N_("查阅者提前结束，或已因办结而结束"),
}
SIGN_MARKS = {"good": "✓", "warn": "!", "quiet": "·"}

TIERS = {
    "basic": N_("基本"),
    "general": N_("一般"),
    "restricted": N_("受限"),
    "sealed": N_("封存"),
}
TYPES = {
    "Patient": N_("身份资料"),
    "Observation": N_("检验结果"),
    "DiagnosticReport": N_("报告单"),
    "Condition": N_("诊断"),
    "Encounter": N_("就诊"),
    "ImagingStudy": N_("影像"),
    "DocumentReference": N_("文书"),
    "Specimen": N_("标本"),
    "ServiceRequest": N_("申请单"),
    "Provenance": N_("来源说明"),
    "Binary": N_("附件"),
}
NOTICE_KINDS = {
    "emergency": N_("被紧急查阅"),
    "answer": N_("提问有了答复"),
    "consent-elsewhere": N_("同意由未接诊过的机构登记"),
    "consent-doubted": N_("身份证号更正后，同意须重新签署"),
}
