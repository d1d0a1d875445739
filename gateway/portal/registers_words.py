"""Words of the register pages; every sentence here is marked for translation."""

from __future__ import annotations

from gateway.portal.words import N_, Mark

SPOKEN = frozenset(
    (
        N_("CDA 文档"),
        N_("DICOM"),
        N_("FHIR"),
        N_("FHIR 路径"),
        N_("HL7 v2"),
        N_("SOAP/XML"),
        N_("WS 363/364 标识符"),
        N_("不予共享"),
        N_("中文名称"),
        N_("互认决定"),
        N_("使用方式"),
        N_("使用权依据"),
        N_("使用权止"),
        N_("使用权矩阵"),
        N_("使用权起"),
        N_("信息资源代码"),
        N_("信息资源分类"),
        N_("信息资源名称"),
        N_("信息资源提供方"),
        N_("信息资源摘要"),
        N_("信息资源格式"),
        N_("信息项（名称:类型:长度）"),
        N_("值域"),
        N_("共享方式"),
        N_("共享条件"),
        N_("共享类型"),
        N_("关联资源代码"),
        N_("匹配"),
        N_("县"),
        N_("发布日期"),
        N_("合同到期"),
        N_("否"),
        N_("字段名"),
        N_("存储"),
        N_("定义"),
        N_("对应客户端"),
        N_("对应来源"),
        N_("就诊"),
        N_("已核对"),
        N_("市"),
        N_("开放条件"),
        N_("影像检查"),
        N_("待核对"),
        N_("截止日"),
        N_("所属机构代码"),
        N_("接口方式"),
        N_("提供方代码"),
        N_("数据元"),
        N_("数据库视图"),
        N_("数据类别"),
        N_("数据类名"),
        N_("数据类型"),
        N_("文书"),
        N_("文件交换"),
        N_("无对应"),
        N_("无接口"),
        N_("无条件共享"),
        N_("是"),
        N_("是否向社会开放"),
        N_("更新周期"),
        N_("有条件共享"),
        N_("机构"),
        N_("权利人"),
        N_("权属单位"),
        N_("权属层级"),
        N_("来源字段"),
        N_("查看"),
        N_("标识符"),
        N_("核对情况"),
        N_("检验结果"),
        N_("法律依据"),
        N_("生效日"),
        N_("用途"),
        N_("省"),
        N_("知情同意"),
        N_("系统名称"),
        N_("系统清单"),
        N_("系统编号"),
        N_("统计"),
        N_("统计数据"),
        N_("网页"),
        N_("联系人"),
        N_("表示格式"),
        N_("诊断"),
        N_("资源目录"),
        N_("身份信息"),
        N_("转发"),
        N_("部"),
        N_("待批准"),
        N_("文件"),
    )
)
"""Names of columns and of what may be chosen in them, as `recognition.registers` has them."""

SHORT = {
    "view": N_("看"),
    "match": N_("配"),
    "store": N_("存"),
    "forward": N_("转"),
    "statistics": N_("统"),
}
"""The uses in one letter, for the map of rights."""

CELLS = {
    "on": Mark("●", N_("有权"), "good"),
    "soon": Mark("◐", N_("即将到期"), "warn"),
    "later": Mark("○", N_("尚未生效"), "quiet"),
    "ended": Mark("✕", N_("已到期"), "bad"),
    "off": Mark("", N_("无权"), "quiet"),
}

STATES = {
    "draft": Mark("…", N_("待批准"), "warn"),
    "approved": Mark("✓", N_("已批准"), "good"),
    "refused": Mark("✕", N_("已退回"), "quiet"),
}

KEEPS = {
    "content": N_("存内容"),
    "index": N_("只存索引"),
    "relay": N_("只转发"),
}

DIMENSIONS = {
    "completeness": N_("完整性"),
    "validity": N_("有效性"),
    "timeliness": N_("及时性"),
    "consistency": N_("一致性"),
    "uniqueness": N_("唯一性"),
}

SORTS = {"source": N_("来源"), "client": N_("客户端")}
