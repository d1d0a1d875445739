"""Codes in the words of hospital people; every sentence here is marked for translation."""

from __future__ import annotations

import re
from gettext import NullTranslations
from typing import NamedTuple

from gateway.errors import Kind
from gateway.exchange import releases
from gateway.identity.resident_id import NotAnId
from gateway.recognition.reasons import Declined
from gateway.services import catalogues, policies


def N_(text: str) -> str:
    """Marks a sentence that a template translates when it is shown."""
    return text


class Mark(NamedTuple):
    """A sign and a word: colour never speaks alone. `tone` names a style."""

    sign: str
    word: str
    tone: str


ROLES = {
    "clinician": N_("临床医生"),
    "registrar": N_("登记员"),
    "auditor": N_("审计员"),
    "it": N_("信息科"),
    "privacy": N_("隐私保护员"),
    "commission": N_("卫健局"),
    "patient": N_("居民"),
    "system": N_("系统"),
}

SEX = {"male": N_("男"), "female": N_("女"), "other": N_("未说明"), "unknown": N_("性别不详")}

MISREAD = {
    NotAnId.EMPTY: N_("请先输入号码。"),
    NotAnId.MASKED: N_("号码里有星号：请输入证件上的完整号码。"),
    NotAnId.SHAPE: N_("位数或字符不对：身份证号为 18 位，最后一位可为 X。请核对后重新输入。"),
    NotAnId.CHECK: N_("校验码不符：号码里至少有一位输错了。请对照证件重新输入。"),
    NotAnId.REGION: N_("号码开头的行政区划不存在。请核对后重新输入。"),
    NotAnId.BIRTH: N_("号码中的出生日期不存在。请核对后重新输入。"),
    NotAnId.PLACEHOLDER: N_("这是占位号码，不属于任何人。请输入证件上的号码。"),
}

# Why nothing is shown (reasons of the consent decision); decided before anything is looked up, so
# it says nothing about records.
REFUSED = {
    "directive": N_("该居民不同意共享其健康记录。"),
    "county-default": N_("该居民尚未签署健康记录共享同意书。"),
    "patient-sealed": N_("该居民的健康记录已封存。"),
    "identity-dispute": N_("该居民的身份正在核实，暂不能查阅。"),
    "no-relationship": N_("本院与该居民目前没有诊疗关系。"),
    "no-grant": N_("紧急查阅没有开始，或时间已到。"),
    "role-purpose": N_("您的岗位不能以此目的查阅健康记录。"),
    "one-purpose": N_("您的岗位不能以此目的查阅健康记录。"),
}
REFUSED_OTHERWISE = N_("按现行授权规则，不能查阅该居民的健康记录。")

CONTRIBUTION = {
    "answered": Mark("✓", N_("已应答"), "good"),
    "late": Mark("◷", N_("数据迟到"), "warn"),
    "silent": Mark("✕", N_("未应答"), "bad"),
}

FLAGS = {
    "": Mark("", "", ""),
    "normal": Mark("", N_("正常"), "quiet"),
    "high": Mark("↑", N_("偏高"), "high"),
    "low": Mark("↓", N_("偏低"), "low"),
    "very-high": Mark("⇈", N_("危急偏高"), "high critical"),
    "very-low": Mark("⇊", N_("危急偏低"), "low critical"),
    "abnormal": Mark("※", N_("异常"), "high"),
    "unread": Mark("?", N_("标记未识别"), "warn"),
}
ABNORMAL = frozenset({"high", "low", "very-high", "very-low", "abnormal", "unread"})

STATUS = {
    "registered": Mark("…", N_("已登记"), "quiet"),
    "preliminary": Mark("…", N_("初步结果"), "warn"),
    "final": Mark("", N_("已审核"), "quiet"),
    "amended": Mark("✎", N_("已更正"), "warn"),
    "corrected": Mark("✎", N_("已更正"), "warn"),
    "cancelled": Mark("✕", N_("已作废"), "bad"),
    "entered-in-error": Mark("✕", N_("误录，已作废"), "bad"),
}
VOID = frozenset({"cancelled", "entered-in-error"})

REPORT_KINDS = {
    "laboratory": N_("检验"),
    "ultrasound": N_("超声"),
    "ct": N_("CT"),
    "radiology": N_("放射"),
    "mri": N_("磁共振"),
    "pathology": N_("病理"),
    "ecg": N_("心电"),
    "other": N_("其他检查"),
}

# The machine's reasons.
NOT_ELIGIBLE = {
    "E01": N_("不在互认目录内"),
    "E02": N_("出具机构该项目无有效互认资格"),
    "E03": N_("超过互认时限"),
    "E04": N_("报告未审核、已更正或已作废"),
    "E05": N_("标本、方法或部位不一致"),
    "E06": N_("单位或结果无法解读"),
    "E07": N_("影像无法调阅"),
    "E08": N_("身份匹配度不足"),
    "E09": N_("缺少授权依据"),
    "E10": N_("受保护类别"),
    "E11": N_("急诊就诊"),
    "E12": N_("互认资格已暂停"),
    "E13": N_("来源标注为不供互认"),
    "E14": N_("在不互认清单内"),
}
NOT_ELIGIBLE_OTHERWISE = N_("暂不能判定")

UNCOUNTED = frozenset(one.value for one in Declined if not one.counted)

OUTCOMES = {
    "accepted": Mark("✓", N_("已认可"), "good"),
    "accepted-reread": Mark("✓", N_("已认可影像"), "good"),
    "declined": Mark("✕", N_("未认可"), "warn"),
}

CONSENT_STATES = {
    "active": Mark("●", N_("有效"), "good"),
    "refusing": Mark("!", N_("身份证号已更正：拒绝仍有效，许可已停止"), "warn"),
    "doubted": Mark("!", N_("身份证号已更正：已停止，须重新签署"), "warn"),
    "withdrawn": Mark("○", N_("已撤回"), "quiet"),
    "superseded": Mark("○", N_("已被新的取代"), "quiet"),
    "expired": Mark("○", N_("已到期"), "quiet"),
}

CONSENT_KINDS = {
    "share": N_("同意在县域内共享"),
    "category": N_("许可一家医院查阅某类受限记录"),
    "refuse-all": N_("拒绝一切共享"),
    "refuse-organization": N_("拒绝一家医院查阅"),
    "other": N_("其他约定"),
}

# v3-ActCode sensitivities a county restricts, in the words of a form.
CATEGORIES = {
    "BH": N_("行为健康"),
    "ETH": N_("物质使用（酒精、药物）"),
    "GDIS": N_("遗传病与基因信息"),
    "HIV": N_("艾滋病病毒感染"),
    "MH": N_("心理健康"),
    "PSY": N_("精神卫生"),
    "SDV": N_("性侵害与家庭暴力"),
    "SEX": N_("性与生殖健康"),
    "STD": N_("性传播疾病"),
    "SUD": N_("成瘾与戒断治疗"),
}

# Every kind and outcome of gateway.audit.events.
ACCESS_KINDS = {
    "read": N_("读取记录"),
    "search": N_("检索记录"),
    "everything": N_("读取全部记录"),
    "disclosure": N_("对外提供"),
    "export": N_("导出"),
    "print": N_("打印"),
    "create": N_("写入记录"),
    "update": N_("更新记录"),
    "relabel": N_("重新标注敏感类别"),
    "filed": N_("消息归档"),
    "quarantined": N_("消息隔离"),
    "decision": N_("授权判定"),
    "consent-create": N_("登记同意"),
    "consent-withdraw": N_("撤回同意"),
    "signing-code": N_("发送签名验证码"),
    "signature": N_("验证码签名"),
    "consent-explain": N_("查看授权说明"),
    "recognition-prompt": N_("互认提示"),
    "recognition-feedback": N_("关闭互认提示"),
    "recognition-view": N_("互认查阅"),
    "recognition-decision": N_("互认决定"),
    "recognition-revocation": N_("撤销互认决定"),
    "recognition-alert": N_("查看结果变更提醒"),
    "recognition-evidence": N_("查看互认决定的证据"),
    "vouched": N_("为登记行留证"),
    "statistics": N_("查看互认统计"),
    "statistics-export": N_("导出互认统计"),
    "statistics-change": N_("冻结统计或处理异议"),
    "relationship-claim": N_("自述诊疗关系"),
    "presence": N_("居民在场确认"),
    "break-glass": N_("紧急查阅"),
    "review": N_("核查"),
    "notice": N_("通知居民"),
    "own-account": N_("本人账户"),
    "mandate": N_("代办权"),
    "link": N_("身份合并"),
    "unlink": N_("身份拆分"),
    "identity-review": N_("身份核对"),
    "login": N_("登录"),
    "login-failed": N_("登录失败"),
    "logout": N_("退出"),
    "step-up": N_("第二要素验证"),
    "second-factor": N_("第二要素变更"),
    "token": N_("签发令牌"),
    "refused": N_("拒绝"),
    "config": N_("配置变更"),
    "register": N_("登记册变更"),
    "register-export": N_("导出登记册"),
    "role": N_("岗位变更"),
    "client": N_("接入系统变更"),
    "key": N_("密钥操作"),
    "audit-read": N_("查阅审计日志"),
    "audit-verify": N_("核验日志"),
    "audit-export": N_("导出审计日志"),
    "backup": N_("备份"),
    "start": N_("服务启动"),
    "stop": N_("服务停止"),
    "clock-step": N_("时钟跳变"),
    "alarm": N_("警示"),
}

ACCESS_OUTCOMES = {
    "permit": Mark("✓", N_("已放行"), "good"),
    "deny": Mark("✕", N_("已拒绝"), "bad"),
    "error": Mark("!", N_("失败"), "warn"),
}

PURPOSES = {
    "TREAT": N_("诊疗"),
    "ETREAT": N_("急诊诊疗"),
    "HOPERAT": N_("医疗管理"),
    "HRESCH": N_("科研"),
    "PATRQT": N_("本人查阅"),
    "FAMRQT": N_("家属查阅"),
    "BTG": N_("紧急查阅"),
    "PUBHLTH": N_("公共卫生"),
    "HSYSADMIN": N_("系统管理"),
}

ALARMS = {
    "self-claim": N_("自述诊疗关系"),
    "consent-broken": N_("某位居民登记的同意与当时记录的不一致或无法读取：已按拒绝一切处理"),
    "consent-elsewhere": N_("登记同意的机构从未接诊过该居民"),
    "consent-doubted": N_("档案的身份证号更正，在其上签署的同意已停止许可：请居民重新签署"),
    "missing-feed": N_("同一理由的自述诊疗关系反复出现：可能没有接入就诊、转诊、预约或签约数据"),
    "own-account": N_(
        "本人账户有疑点：手机号与他人相同，或与医院登记的不同，或在登记台的电脑上设了密码"
    ),
    "fresh-factor": N_("第二要素刚由本人凭密码领取就被使用：请向本人核实"),
    "break-glass": N_("紧急查阅"),
    "emergency-claimed": N_("请求自称紧急，未予理会"),
    "control-id-reused": N_("同一消息编号出现了不同内容"),
    "probe": N_("短时间内多次查找无果"),
    "wrong-patient": N_("结果被发送方改判给他人"),
    "no-right": N_("使用权矩阵之外的请求，已拒绝"),
    "other-chart": N_("同一记录出现在另一位患者名下"),
    "view-failing": N_("数据库视图读不到"),
    "view-silent": N_("数据库视图长时间没有新数据"),
    "view-unmarked": N_("视图中有行没有更新时间，没有读取"),
    "batch-short": N_("批次中的消息少于申报的数目"),
    "charset-suspicious-utf8": N_("字符集与登记的不符"),
    "charset-mojibake": N_("文字疑似乱码"),
    "gateway-fault": N_("网关自身未能处理一条消息"),
    "mark-mismatch": N_("报告上的互认标识与资格登记不符"),
    "source-silent": N_("来源长时间没有消息"),
    "sum": N_("消息数目对不上"),
    "log": N_("日志核验未通过"),
    "map-release": N_("映射版本无法启用"),
}

# What may stand for a content that is not shown; codes of the tables are shown as they are.
CONTENTS = {"unmapped": N_("未对照"), "absent": N_("缺失"), "value": N_("有内容")}

RELEASE_STATES = {
    "proposed": Mark("?", N_("待批准"), "warn"),
    "in-force": Mark("✓", N_("正在使用"), "good"),
    "retired": Mark("", N_("已停用"), "quiet"),
    "refused": Mark("✕", N_("已退回"), "quiet"),
}

POLICY_EFFECTS = {  # of a change of the county's policy
    "opens": Mark("!", N_("更开放"), "warn"),
    "closes": Mark("✓", N_("更严格"), "good"),
    "changes": Mark("", N_("有改变"), "quiet"),
}

SEVERITIES = {
    "stop": Mark("✕", N_("无法读取"), "bad"),
    "hold": Mark("✕", N_("留待处理"), "bad"),
    "drop": Mark("!", N_("已略去"), "warn"),
    "note": Mark("·", N_("留意"), "quiet"),
    "alarm": Mark("!", N_("警报"), "bad"),
}

CODE_STATES = {
    "open": Mark("?", N_("未对照"), "warn"),
    "proposed": Mark("…", N_("待第二人批准"), "warn"),
    "approved": Mark("✓", N_("已批准"), "good"),
    "ignored": Mark("–", N_("不需对照"), "quiet"),
}

# Columns of a code table.
COLUMNS = {
    "loinc": N_("LOINC 编号"),
    "ucum": N_("UCUM 代码"),
    "target": N_("目标代码"),
    "relation": N_("关系"),
    "unit": N_("单位（UCUM）"),
    "specimen": N_("标本"),
    "name": N_("名称"),
    "system": N_("代码系统"),
    "display": N_("显示名称"),
}

RELATIONS = {
    "equivalent": N_("等同"),
    "equal": N_("完全相同"),
    "wider": N_("目标更宽（不计互认）"),
    "narrower": N_("目标更窄（不计互认）"),
    "inexact": N_("只是相近（不计互认）"),
    "unmatched": N_("没有对应的代码"),
}

SOURCE_STATES = {
    "active": Mark("●", N_("在用"), "good"),
    "paused": Mark("‖", N_("已暂停"), "warn"),
}

# What just happened, said once on the next page.
NOTICES = {
    "folders-said-one": N_("已记录：同一人。下面是下一对。"),
    "folders-said-two": N_("已记录：不是同一人。下面是下一对。"),
    "folders-said-later": N_("已记录：稍后再看。下面是下一对。"),
    "folders-said-undone": N_("已收回，这一对恢复为回答以前的样子。"),
    "catalogue-drafted": N_("草稿已保存。请另一人阅读改变并批准。"),
    "catalogue-approve": N_("已批准，尚未发布。"),
    "catalogue-publish": N_("已发布。"),
    "catalogue-refuse": N_("已退回，目录没有改变。"),
    "entitlement-changed": N_("已登记，立即生效。"),
    "entitlements-added": N_("已全部登记，立即生效。"),
    "figures-frozen": N_("本月数字已冻结并签名，此后不再重新计算。"),
    "figures-not-verified": N_(
        "访问日志或统计台账未通过核验，因此没有冻结任何数字。请由审计员核验日志，查明缺了或改了什么。"
    ),
    "objection-made": N_("异议已提交卫健局。冻结的数字不会改变。"),
    "objection-answered": N_("异议已答复。"),
    "register-proposed": N_("已提交为草稿，由另一人批准。"),
    "register-same": N_("与现行内容相同，没有可提交的。"),
    "register-approve": N_("已批准，从下一次请求起生效。"),
    "register-refuse": N_("已退回，登记册没有改变。"),
    "policy-proposed": N_("已提交。请另一位隐私保护员阅读改变并决定。"),
    "policy-approve": N_("已批准：新的规则从现在起在所有进程生效。"),
    "policy-refuse": N_("已退回，规则没有改变。"),
    "accepted": N_("已记录：结果获得认可。"),
    "accepted-reread": N_("已记录：影像获得认可，重新阅片的申请已存入草稿。"),
    "declined": N_("已记录：不予认可及其理由。"),
    "revoked": N_("已记录：决定已撤销。"),
    "put-back": N_("病历已放回。"),
    "emergency-ended": N_("紧急查阅已结束，病历已放回。"),
    "emergency-over": N_("紧急查阅的时间已到，病历已放回。"),
    "factor-taken": N_("第二要素已登记。"),
    "case-taken": N_("由您经办。"),
    "case-asked": N_("已向当事人提问。"),
    "case-answered": N_("答复已送给隐私保护员。"),
    "case-decided": N_("已记录。"),
    "notice-held": N_("通知的时间已改。"),
    "recorded": N_("同意已登记，从现在起生效。"),
    "folders-one": N_("已记录：两份档案都是这位居民的。"),
    "folders-two": N_("已记录：两份档案属于两个人，已分开。"),
    "withdrawn": N_("同意已撤回：从下一次查阅起，不再以它为依据共享任何内容。"),
    "filed": N_("已重新处理：消息归档成功。"),
    "quarantined": N_("已重新处理：消息仍不能归档，原因见下。"),
    "waiting": N_("消息已重新排队，稍后自动处理。"),
    "rerun-done": N_("已重新处理，改变已写入。"),
    "rerun-same": N_("已重新处理，没有任何改变。"),
    "rerun-tried": N_("试读已开始，不会写入；稍后刷新看结果。"),
    "rerun-started": N_("已开始写入；稍后刷新看进度。"),
    "key-added": N_("新公钥已生效，旧的仍有效。"),
    "key-dropped": N_("密钥已删除。"),
    "client-revoked": N_("客户端已吊销，令牌已失效。"),
    "sent-again": N_("已重新排队发送。"),
    "alarm-settled": N_("警示已标为已处理。"),
    "items-withdrawn": N_("已作废：新报告没有的结果已标为录入错误。"),
    "items-kept": N_("已核实：新报告没有的结果仍然有效。"),
    "code-proposed": N_("已提出。请另一位同事批准后生效。"),
    "code-approved": N_("已批准：新的映射版本已启用，遇到过它的消息正在重新处理。"),
    "code-declined": N_("提议已退回，代码重新等待对照。"),
    "code-ignored": N_("已标为不需对照。"),
    "code-reopened": N_("代码重新等待对照。"),
    "release-approve": N_("已批准：从下一条消息起使用这个版本。"),
    "release-refuse": N_("已退回：正在使用的版本不变。"),
    "acting": N_("好了。现在您替另一个人办事。"),
    "myself": N_("好了。现在是您自己的页面。"),
    "acting-ended": N_("您现在不能替这个人办事。"),
    "signed": N_("签好了，马上有效。"),
    "taken-back": N_("收回了。从现在起不能再看。"),
    "asked": N_("收到了。15 天内会答复您。"),
    "right-ended": N_("好了，这个人不再替您办事。"),
    "code-sent": N_("验证码已发到手机。"),
    "account-open": N_("账户开好了。设密码的代码已发到本人手机。"),
    "account-ended": N_("账户已经关闭。"),
    "mandate-recorded": N_("代办权已登记，现在有效。"),
    "mandate-stopped": N_("代办权已叫停，马上有效。"),
    "mandate-ended": N_("代办权已结束。"),
    "password-set": N_("密码设好了。请用它登录。"),
}
NOT_DONE = frozenset(
    ("figures-not-verified", "register-same", "emergency-over", "quarantined", "acting-ended")
)
"""Notices of what did not happen, or is over."""

PROBLEMS = {
    Kind.UNAUTHENTICATED: N_("请先登录。"),
    Kind.REFUSED: N_("您的岗位不能进行这项操作。"),
    Kind.UNKNOWN: N_("没有这一页，或其内容对您不可见。"),
    Kind.NO_SUCH_ROUTE: N_("没有这一页，或其内容对您不可见。"),
    Kind.NO_SUCH_METHOD: N_("没有这一页，或其内容对您不可见。"),
    Kind.CONFLICT: N_("内容刚刚有了新版本。请重新打开后再决定。"),
    Kind.PRECONDITION: N_("内容刚刚有了新版本。请重新打开后再决定。"),
    Kind.TOO_LARGE: N_("上传的文件太大：扫描件不超过 10 MB。"),
    Kind.MEDIA_TYPE: N_("只接受 PDF、JPEG 或 PNG 格式的扫描件。"),
    Kind.THROTTLED: N_("查询过于频繁。请稍候一分钟再试。"),
    Kind.BUSY: N_("系统此刻不能保存。请稍后再试；没有任何内容丢失。"),
}
PROBLEM_OTHERWISE = N_("这个请求不能处理。请返回后重试。")
STALE = N_("这一页已经过期，什么也没有改变。请重新打开这一页，再做一次。")
BROKEN = N_("系统内部出了差错。已经留下记录，请稍后再试。")

_NOTED = frozenset((catalogues.FOUNDED, policies.FOUNDED, releases.FIRST))

_POWER = re.compile(r"(?<!\d)10[*^](-?\d{1,2})(?!\d)")
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def unit(code: str) -> str:
    """A unit as people write it: UCUM's `10*9/L` and a laboratory's `10^9/L` are both 10⁹/L."""
    return _POWER.sub(lambda found: f"10{found[1].translate(_RAISED)}", code)


# Who is no person with an account: the command line, our own jobs, what the product brings along.
ACTORS = {
    "operator": N_("运维人员"),
    "worker": N_("本网关"),
    "gateway": N_("本网关"),
    "statistics": N_("本网关"),
    "demo": N_("演示数据"),
    "starter proposal": N_("产品初稿"),
}


def actor(texts: NullTranslations, name: str) -> str:
    """Who did it: a person as named, anything else in words."""
    return texts.gettext(ACTORS[name]) if name in ACTORS else name


def declined(language: str, code: str) -> str:
    """Why a result was declined, in the words of the list; a hospital's own reason is told by its code."""
    try:
        one = Declined(code)
    except ValueError:
        return code
    return one.en if language == "en" else one.zh


def noted(language: str, note: str) -> str:
    """A note that somebody wrote, as written; of our own notes, kept in both languages, one side."""
    chinese, stop, english = note.partition("。")
    if note not in _NOTED:
        return note
    return english if language == "en" else chinese + stop
