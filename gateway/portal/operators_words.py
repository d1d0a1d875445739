"""Words of the IT office's pages on messages and clients."""

from __future__ import annotations

from gateway.portal.words import N_, Mark

STATES = {
    "filed": Mark("✓", N_("已归档"), "good"),
    "quarantined": Mark("✕", N_("已隔离"), "bad"),
    "waiting": Mark("…", N_("等待处理"), "quiet"),
    "retry": Mark("↻", N_("等待重试"), "warn"),
}
CHOICES = {
    "waiting": N_("等待处理"),
    "retry": N_("等待重试"),
    "filed": N_("已归档"),
    "quarantined": N_("已隔离"),
    "repeated": N_("收到多次"),
}
WINDOWS = {1: N_("1 小时"), 6: N_("6 小时"), 24: N_("24 小时"), 168: N_("7 天"), 0: N_("全部")}
RUNS = {
    "running": Mark("…", N_("进行中"), "quiet"),
    "paused": Mark("‖", N_("已停下"), "warn"),
    "done": Mark("✓", N_("已完成"), "good"),
}
KINDS = {
    "ADT": N_("就诊与患者（ADT）"),
    "ORU": N_("检查检验结果（ORU）"),
    "ORM": N_("医嘱（ORM）"),
    "OML": N_("检验医嘱（OML）"),
    "OMG": N_("检查医嘱（OMG）"),
    "OMI": N_("影像医嘱（OMI）"),
    "ORL": N_("医嘱应答（ORL）"),
    "MDM": N_("文书（MDM）"),
    "SIU": N_("预约（SIU）"),
    "REF": N_("转诊（REF）"),
    "RDE": N_("处方（RDE）"),
    "RAS": N_("给药（RAS）"),
    "DFT": N_("费用（DFT）"),
    "MFN": N_("主数据（MFN）"),
    "PPR": N_("问题与诊断（PPR）"),
    "VXU": N_("接种（VXU）"),
    "HL7": N_("其他 HL7 v2 消息"),
    "CDA": N_("临床文档（CDA）"),
    "SOAP": N_("SOAP 调用"),
    "XML": N_("其他 XML"),
    "FHIR": N_("FHIR 消息"),
    "DICOM": N_("影像信息（DICOM）"),
    "ROWS": N_("数据行（视图、CSV）"),
}
"""What `message_kinds` tells apart, in words."""
LETTERS = {
    "decision": N_("互认决定"),
    "revocation": N_("撤销决定"),
    "alert": N_("结果变更提醒"),
}
WHY = {
    "no-endpoint": N_("没有登记接收地址"),
    "no-key": N_("密钥暂时打不开"),
    "KeyMissing": N_("密钥暂时打不开"),
    "SealBroken": N_("证据被改动，打不开"),
    "Shredded": N_("密钥已销毁"),
    "ConnectError": N_("连接不上"),
    "ConnectTimeout": N_("连接超时"),
    "ReadTimeout": N_("对方没有应答"),
    "TimeoutError": N_("对方没有应答"),
    "not-acknowledged": N_("对方的应答不是确认"),
    "other-acknowledgment": N_("对方确认的是另一条消息"),
}
"""Why a message was not taken; other codes are shown as they are."""
