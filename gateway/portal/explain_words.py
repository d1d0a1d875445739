"""Codes of the explaining pages in words; every sentence here is marked for translation."""

from __future__ import annotations

from gateway.portal import words
from gateway.portal.words import N_, Mark

REACH = {
    "now": Mark("●", N_("可以看"), "good"),
    "treating": Mark("●", N_("给本人看病时可以看"), "good"),
    "present": Mark("◐", N_("本人在场并出示凭证时可以看"), "warn"),
    "consent": Mark("○", N_("本人另行同意后才可以看"), "quiet"),
    "emergency": Mark("!", N_("只有抢救时可以看"), "warn"),
    "closed": Mark("✕", N_("不能看"), "bad"),
}

NEEDS = {
    "treatment-relationship": N_("诊疗关系"),
    "presence": N_("本人在场并出示凭证"),
    "consent": N_("本人同意"),
    "emergency": N_("紧急查阅授权"),
}

ROLES = words.ROLES | {
    "disease-control": N_("疾控中心"),
    "insurer": N_("医保与保险"),
    "quality": N_("质控"),
    "researcher": N_("科研人员"),
}

PURPOSES = words.PURPOSES | {
    "COC": N_("诊疗协作"),
    "ERTREAT": N_("急诊室诊疗"),
    "HPAYMT": N_("费用结算"),
}
