"""Words of the pages about the person in hand; every sentence here is marked for translation."""

from __future__ import annotations

from gateway.portal.words import N_, Mark

PERIODS = {
    "1m": N_("1 个月"),
    "3m": N_("3 个月"),
    "1y": N_("1 年"),
    "all": N_("全部时间"),
}

OUTSIDE = {  # of the result's own range, where its laboratory gave no flag
    "high": Mark("▵", N_("核算：高于范围"), "computed"),
    "low": Mark("▿", N_("核算：低于范围"), "computed"),
}

CRITICALITY = {
    "low": N_("风险低"),
    "high": N_("风险高"),
    "unable-to-assess": N_("风险未评估"),
}

COMPARABILITY = {
    "A": N_("各医院结果可以直接比较：同一单位的放在同一行、连成一条线。"),
    "B": N_("各医院的方法和参考范围不同：分开画线，只看各自的走势，不要跨医院比较数值。"),
    "C": N_("不同医院、方法或标本的结果不可比较：分行列出，不画在同一坐标中。"),
}

UNDRAWN = {
    "never": N_("不画图：这些结果来自不可比较的方法或标本，画在一起会误导。请逐行阅读下表。"),
    "nothing": N_(
        "不画图：没有可以画成点的数值（滴度、文字结果、没有时间或已作废的结果只列在表中）。"
    ),
}

UNFOUND = {
    "name": N_("请输入姓名。"),
    "birth": N_("请输入出生日期，例如 1980-01-01。"),
    "nobody": N_(
        "没有找到一位正在本院就诊、姓名和出生日期完全相符的居民。请核对，或改用身份证号、健康卡号。"
    ),
    "several": N_("符合的不止一人：请补充本院病历号，或改用身份证号、健康卡号。"),
}

PARTS = {  # what of a result or report a newer version changed
    "value": N_("结果"),
    "unit": N_("单位"),
    "range": N_("参考范围"),
    "flag": N_("提示"),
    "status": N_("状态"),
    "conclusion": N_("结论"),
}
