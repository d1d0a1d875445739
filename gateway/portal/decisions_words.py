"""The words of the pages on decisions."""

from __future__ import annotations

from gateway.portal.words import N_

CHANGES = {
    "corrected": N_("出具机构更正了这项结果"),
    "replaced": N_("出具机构以新报告重发了这项结果"),
    "withdrawn": N_("出具机构作废了这项结果"),
    "identity": N_("这项结果是否属于同一患者需要核对"),
}
CHOICES = {
    "accept": N_("认可"),
    "accept-reread": N_("认可影像，申请重新阅片"),
    "decline": N_("不认可"),
}
HOOKS = {
    "portal": N_("本系统页面"),
    "fhir": N_("医院系统"),
    "patient-view": N_("接诊提醒"),
    "order-select": N_("开单提醒"),
    "order-sign": N_("签署提醒"),
    "launch": N_("医院系统内嵌页面"),
    "soap": N_("医院系统"),
}
CLASSES = {"OP": N_("门诊"), "IP": N_("住院"), "EM": N_("急诊")}
DUTIES = (
    N_("出具机构对结果本身的真实、准确负责：标本、方法、质量控制与报告审核。"),
    N_("决定机构对是否采用负责：由医师结合病情判断，并将采用的结果归入病历。"),
    N_("本系统对所示内容与来源一致、过程如实留痕负责，不作临床判断。"),
)
"""Who answers for what (国卫医发〔2022〕6号 leaves it to each party), in our own words."""
