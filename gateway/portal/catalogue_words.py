"""Marks and words of the pages of the catalogue and of the register."""

from __future__ import annotations

from gateway.portal.words import N_, Mark

STATES = {
    "draft": Mark("?", N_("草稿，待批准"), "warn"),
    "approved": Mark("?", N_("已批准，待发布"), "warn"),
    "in-force": Mark("✓", N_("正在使用"), "good"),
    "coming": Mark("…", N_("待生效"), "quiet"),
    "retired": Mark("", N_("已停用"), "quiet"),
    "passed-over": Mark("", N_("未生效，已被更新的版本取代"), "quiet"),
    "refused": Mark("✕", N_("已退回"), "quiet"),
}
EFFECTS = {
    "+": Mark("+", N_("放宽"), "good"),
    "-": Mark("−", N_("收紧"), "warn"),
    "~": Mark("~", N_("其他"), "quiet"),
}
STATUS = {
    "active": Mark("✓", N_("有效"), "good"),
    "member": Mark("✓", N_("成员"), "good"),
    "suspended": Mark("!", N_("已暂停"), "warn"),
    "revoked": Mark("✕", N_("已撤销"), "bad"),
    "coming": Mark("…", N_("未开始"), "quiet"),
    "over": Mark("", N_("已结束"), "quiet"),
}
ACTS = {
    "granted": N_("授予"),
    "suspended": N_("暂停"),
    "restored": N_("恢复"),
    "revoked": N_("撤销"),
    "joined": N_("加入"),
    "left": N_("退出"),
}
KINDS = {"lab": N_("检验"), "imaging": N_("影像检查"), "function": N_("功能检查")}
ITEM_STATES = {
    "in-force": Mark("✓", N_("参与互认"), "good"),
    "negative": Mark("✕", N_("负面清单"), "bad"),
    "protected": Mark("!", N_("受保护类别"), "warn"),
    "uncertain": Mark("?", N_("编码待确认，未启用"), "warn"),
    "out": Mark("", N_("不在有效期"), "quiet"),
}
GROUPS = {
    "lab": N_("全部检验"),
    "imaging": N_("全部影像检查"),
    "function": N_("全部功能检查"),
    "chemistry": N_("临床化学"),
    "liver": N_("肝功能类"),
    "kidney": N_("肾功能类"),
    "lipids": N_("血脂类"),
    "glucose": N_("血糖类"),
    "electrolytes": N_("电解质类"),
    "cardiac": N_("心肌标志物"),
    "immunology": N_("免疫与特种蛋白"),
    "haematology": N_("血液学"),
    "coagulation": N_("凝血"),
    "endocrine": N_("内分泌"),
    "tumour-markers": N_("肿瘤标志物"),
    "serology": N_("感染血清学"),
    "urinalysis": N_("尿液分析"),
    "stool": N_("粪便检验"),
    "radiography": N_("X 线摄影"),
    "ct": "CT",
    "mr": "MR",
    "ultrasound": N_("超声"),
    "ecg": N_("心电图"),
    "mammography": N_("乳腺摄影"),
    "dxa": N_("骨密度"),
}
