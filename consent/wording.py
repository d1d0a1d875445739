"""What a county's policy says, fact by fact, in Chinese and English."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from consent.model import Obligation, RelationshipKind, Tier
from consent.policy import DAY, Default, PolicySet, Statute


class Words(NamedTuple):
    """The same in both languages."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing a policy settles: for whom or what it is, and how it stands.

    `open` compares two states of the same thing: more is shared, or with less protection, where it
    is higher. None where neither is more open. `absent` is how it stands when the policy does not
    speak of it.
    """

    section: str
    key: tuple[str, ...]
    subject: Words
    state: Words
    open: float | None = None
    absent: tuple[Words, float | None] | None = None


SECTIONS = {
    "name": Words("名称", "Name"),
    "defaults": Words("没有签字时共享什么", "What is shared when nothing was signed"),
    "roles": Words("各岗位可用的目的", "What each role may ask for"),
    "labels": Words("受专门保护的类别", "Protected categories"),
    "includes": Words("类别与目的之间的包含关系", "What includes what"),
    "tiers": Words("记录的分类", "Kinds of record"),
    "purposes": Words("目的", "Purposes"),
    "relationships": Words("诊疗关系的有效期", "How long a treatment relationship lasts"),
    "ages": Words("年龄", "Ages"),
    "emergency": Words("紧急查阅", "Emergency access"),
    "statutes": Words("法定上报", "Statutory duties"),
    "duties": Words("接收方的义务", "What a receiver owes"),
    "general": Words("其他", "Other"),
}

TIERS = {
    Tier.BASIC: Words(
        "基本信息（过敏、用药、接种、血型）",
        "basic facts (allergies, medicines, immunizations, blood group)",
    ),
    Tier.GENERAL: Words(
        "一般记录（检验、检查、就诊、诊断）",
        "general records (laboratory, imaging, encounters, diagnoses)",
    ),
    Tier.RESTRICTED: Words("受专门保护的记录", "protected records"),
    Tier.SEALED: Words("封存的记录", "sealed records"),
}

DEFAULTS: dict[Default | None, tuple[Words, int]] = {
    None: (Words("须经患者同意", "only after the patient's consent"), 0),
    "presence": (
        Words("患者同意后，或患者在场时", "after consent or when the patient is present"),
        1,
    ),
    "permit": (Words("默认可以", "by default"), 2),
}

# What "no" means depends on how closely a record is kept, and on a grant of emergency access.
CLOSED = {
    Tier.BASIC: DEFAULTS[None][0],
    Tier.GENERAL: DEFAULTS[None][0],
    Tier.RESTRICTED: Words("须有写明该类别的同意", "only after a consent that names the category"),
    Tier.SEALED: Words("只对指名的人", "for persons who are named only"),
}
GRANTED = Words("凭紧急查阅授权", "with a grant of emergency access")

PURPOSES = {
    "TREAT": Words("诊疗", "treatment"),
    "COC": Words("诊疗协作", "coordination of care"),
    "ETREAT": Words("急诊诊疗", "emergency treatment"),
    "ERTREAT": Words("急诊室诊疗", "emergency room treatment"),
    "BTG": Words("紧急查阅", "emergency access"),
    "CAREMGT": Words("照护管理", "care management"),
    "CLINTRL": Words("临床试验", "clinical trial"),
    "POPHLTH": Words("人群健康管理", "population health"),
    "PATRQT": Words("本人查阅", "the patient's own request"),
    "FAMRQT": Words("家属查阅", "a relative's request"),
    "PWATRNY": Words("受托人查阅", "a proxy's request"),
    "SUPNWK": Words("亲友照护", "the patient's support network"),
    "HPAYMT": Words("费用结算", "payment"),
    "HOPERAT": Words("医疗管理", "health care operations"),
    "HRESCH": Words("科研", "research"),
    "HMARKT": Words("营销", "marketing"),
    "PUBHLTH": Words("公共卫生", "public health"),
    "TRAIN": Words("教学", "training"),
    "SYSDEV": Words("系统开发", "system development"),
    "DISASTER": Words("灾害应对", "disaster response"),
    "THREAT": Words("公共威胁应对", "response to a threat"),
}

LABELS = {
    "BH": Words("行为健康", "behavioural health"),
    "COGN": Words("认知障碍", "cognitive disability"),
    "DVD": Words("发育障碍", "developmental disability"),
    "EMOTDIS": Words("情绪障碍", "emotional disturbance"),
    "EMP": Words("职工健康信息", "employee information"),
    "ETH": Words("物质使用（酒精、药物）", "substance use (alcohol, drugs)"),
    "ETHUD": Words("酒精使用障碍", "alcohol use disorder"),
    "GDIS": Words("遗传病与基因信息", "genetic disease"),
    "HIV": Words("艾滋病病毒感染", "HIV"),
    "IDS": Words("传染病", "infectious disease"),
    "MH": Words("心理健康", "mental health"),
    "MST": Words("军中性侵害", "military sexual trauma"),
    "OPIOIDUD": Words("阿片类使用障碍", "opioid use disorder"),
    "PREGNANT": Words("妊娠", "pregnancy"),
    "PSY": Words("精神卫生", "psychiatry"),
    "PSYTHPN": Words("心理治疗记录", "psychotherapy notes"),
    "SCA": Words("镰状细胞病", "sickle cell anaemia"),
    "SDV": Words("性侵害与家庭暴力", "sexual assault and domestic violence"),
    "SEX": Words("性与生殖健康", "sexual and reproductive health"),
    "STD": Words("性传播疾病", "sexually transmitted disease"),
    "SUD": Words("成瘾与戒断治疗", "addiction treatment"),
}

ROLES = {
    "clinician": Words("临床医生", "clinicians"),
    "registrar": Words("登记员", "registrars"),
    "auditor": Words("审计员", "auditors"),
    "privacy": Words("隐私保护员", "privacy officers"),
    "it": Words("信息科", "IT offices"),
    "commission": Words("卫健局", "the health commission"),
    "patient": Words("居民本人", "patients"),
    "representative": Words("监护人与受托人", "guardians and proxies"),
    "disease-control": Words("疾控中心", "disease control"),
    "insurer": Words("医保与保险", "insurers"),
    "quality": Words("质控", "quality offices"),
    "researcher": Words("科研人员", "researchers"),
    "system": Words("系统", "systems"),
}

RELATIONSHIPS = {
    RelationshipKind.ENCOUNTER: Words("就诊或住院", "encounter or admission"),
    RelationshipKind.REFERRAL: Words("转诊", "referral"),
    RelationshipKind.APPOINTMENT: Words("预约", "appointment"),
    RelationshipKind.CONTRACT: Words("家庭医生签约", "family doctor contract"),
    RelationshipKind.CARE_TEAM: Words("诊疗团队", "care team"),
    RelationshipKind.PRESENCE: Words("患者在场凭证", "proof that the patient is present"),
    RelationshipKind.SELF_CLAIM: Words("医生自行声明", "the doctor's own declaration"),
}

OBLIGATIONS = {
    Obligation.PURPOSE_BOUND: Words("只用于所申明的目的", "use for the stated purpose only"),
    Obligation.NO_REDISCLOSURE: Words(
        "未经同意不得再提供给他人", "no redisclosure without consent"
    ),
    Obligation.WATERMARK: Words("显示水印", "show a watermark"),
    Obligation.NOTIFY_PATIENT: Words("告知患者", "tell the patient"),
    Obligation.REVIEW_72_HOURS: Words("72 小时内复核", "review within 72 hours"),
    Obligation.NO_COPY_OUT: Words("不得复制带出", "no copy out"),
    Obligation.STATUTORY_BASIS: Words("注明法定依据", "state the statutory basis"),
    Obligation.DELETE_AFTER_USE: Words("用后删除", "delete after use"),
    Obligation.ENCRYPT_AT_REST: Words("加密存放", "keep encrypted"),
    Obligation.ALERT_SELF_CLAIM: Words("自行声明须提示", "alert on a declared relationship"),
}

ACTIONS = {
    "read": Words("查看", "read"),
    "search": Words("查找", "search"),
    "history": Words("查看旧版本", "see earlier versions"),
    "export": Words("导出", "export"),
    "subscribe": Words("订阅", "subscribe"),
    "push": Words("推送", "push"),
    "print": Words("打印", "print"),
}

YES, NO = Words("是", "yes"), Words("否", "no")


def called(names: dict[str, Words], code: str) -> Words:
    """A code by its name and itself; the code alone where it has no name here."""
    name = names.get(code)
    return Words(f"{name.zh}（{code}）", f"{name.en} ({code})") if name else Words(code, code)


def purpose(code: str) -> Words:
    """A purpose by name."""
    return called(PURPOSES, code)


def label(code: str) -> Words:
    """A category by name."""
    return called(LABELS, code)


def span(micros: int) -> Words:
    """A duration in the largest unit that tells it whole."""
    units = (
        (DAY, "天", "day"),
        (DAY // 24, "小时", "hour"),
        (60_000_000, "分钟", "minute"),
    )
    for unit, zh, en in units:
        if micros >= unit and micros % unit == 0:
            many = micros // unit
            return Words(f"{many} {zh}", f"{many} {en}{'' if many == 1 else 's'}")
    return Words("0", "none")


def facts(policy: PolicySet) -> list[Fact]:
    """Everything the policy settles, in the order a reader wants it."""
    parts = (
        _name, _defaults, _roles, _labels, _includes, _tiers, _purposes, _relationships, _ages,
        _emergency, _statutes, _duties, _general,
    )  # fmt: skip
    return [fact for part in parts for fact in part(policy)]


def _name(policy: PolicySet) -> Iterator[Fact]:
    yield Fact("name", (), Words("规则名称", "Name"), Words(policy.name, policy.name))


def _defaults(policy: PolicySet) -> Iterator[Fact]:
    """For each tier: the purposes its table names, and those that staff may ask for."""
    asked = frozenset().union(*policy.roles.values()) - policy.patient
    for tier in Tier:
        for code in sorted(asked | policy.defaults[tier].keys()):
            yield default_fact(policy, tier, code)


def default_fact(policy: PolicySet, tier: Tier, code: str) -> Fact:
    """What holds for a tier and a purpose when nobody signed anything."""
    state, rank = DEFAULTS[policy.default(tier, code)]
    if not rank:
        granted = code == policy.emergency_override and tier is not Tier.SEALED
        state = GRANTED if granted else CLOSED[tier]
    if rank and code not in policy.defaults[tier]:
        state = Words(f"{state.zh}（随所属的目的）", f"{state.en} (as the wider purpose)")
    of, what = purpose(code), TIERS[tier]
    subject = Words(
        f"其他机构的人员以{of.zh}为目的查看{what.zh}",
        f"Staff of other organizations, for {of.en}: {what.en}",
    )
    return Fact("defaults", (tier.name, code), subject, state, rank)


def _member(
    section: str, key: tuple[str, ...], subject: Words, present: Words, absent: Words, opens: int
) -> Fact:
    """Something that stands in a list or not. `opens` 1: standing there shares more, -1: less."""
    if not opens:
        return Fact(section, key, subject, present, None, (absent, None))
    return Fact(section, key, subject, present, opens, (absent, 0))


def _roles(policy: PolicySet) -> Iterator[Fact]:
    may, not_ = Words("可以", "may"), Words("不可以", "may not")
    known, unknown = Words("有此岗位", "exists"), Words("无此岗位", "does not exist")
    for role, purposes in policy.roles.items():
        who = called(ROLES, role)
        yield _member(
            "roles", (role,), Words(f"岗位：{who.zh}", f"Role: {who.en}"), known, unknown, 0
        )
        for code in sorted(purposes):
            of = purpose(code)
            subject = Words(f"{who.zh}以{of.zh}为目的提出查阅", f"Ask for {of.en}: {who.en}")
            yield _member("roles", (role, code), subject, may, not_, 1)


def _labels(policy: PolicySet) -> Iterator[Fact]:
    listed, unlisted = Words("列为专门保护", "is listed"), Words("未列入", "is not listed")
    shut, free = Words("受专门保护", "is protected"), Words("不受专门保护", "is not protected")
    for code in sorted(policy.known_labels):
        what = label(code)
        subject = Words(f"类别：{what.zh}", f"The category {what.en}")
        if policy.labels.up(code) & policy.restricted:
            yield _member("labels", (code,), subject, shut, free, -1)
        if code in policy.restricted:
            own = Words(f"保护名单：{what.zh}", f"The list of protected categories: {what.en}")
            yield _member("labels", (code, "listed"), own, listed, unlisted, -1)


def _includes(policy: PolicySet) -> Iterator[Fact]:
    known, unknown = Words("已知", "is known"), Words("未知", "is not known")
    holds, not_ = Words("是", "holds"), Words("否", "does not hold")
    trees = (("label", policy.labels, label), ("purpose", policy.purposes, purpose))
    for kind, tree, name in trees:
        for code in sorted(tree.codes):
            what = name(code)
            yield _member(
                "includes",
                (kind, code),
                Words(f"代码：{what.zh}", f"The code {what.en}"),
                known,
                unknown,
                0,
            )
            for child in sorted(tree.children(code)):
                part = name(child)
                subject = Words(
                    f"对{what.zh}的同意和拒绝也及于{part.zh}",
                    f"What is said on {what.en} covers {part.en}",
                )
                yield _member("includes", (kind, code, child), subject, holds, not_, 1)


def _tiers(policy: PolicySet) -> Iterator[Fact]:
    basic = Words("基本信息", "basic facts"), Words("一般记录", "general records")
    every = Words("目录信息，人人可看", "directory data, shown to everybody")
    not_ = Words("不是目录信息", "not directory data")
    codes = {f"{system}|{code}" for system, code in policy.basic_codes}
    for kind, names in (("type", policy.basic_types), ("code", codes)):
        for name in sorted(names):
            yield _member("tiers", (kind, name), Words(name, name), *basic, 0)
    for name in sorted(policy.directory_types):
        yield _member("tiers", ("directory", name), Words(name, name), every, not_, 1)


def _purposes(policy: PolicySet) -> Iterator[Fact]:
    lists = (
        (
            "treatment",
            policy.treatment,
            Words("须有诊疗关系", "needs a treatment relationship"),
            Words("不须诊疗关系", "needs no treatment relationship"),
        ),
        (
            "patient",
            policy.patient,
            Words("只限本人或其代理人", "for the patient or a proxy only"),
            Words("不限于本人", "not for the patient only"),
        ),
        (
            "never",
            policy.never,
            Words("一律禁止，签字也不行", "never, whatever was signed"),
            Words("不再一律禁止", "not ruled out"),
        ),
        (
            "not-inherited",
            policy.not_inherited,
            Words("同意书必须写明才及于它", "covered only by a consent that names it"),
            Words("随上级目的的同意一并及于", "covered by a consent on the wider purpose"),
        ),
    )
    for kind, codes, present, absent in lists:
        for code in sorted(codes):
            yield _member("purposes", (kind, code), purpose(code), present, absent, -1)
    passes = Words("监护人的拒绝不妨碍它", "goes on where a guardian refused")
    holds = Words("监护人的拒绝对它有效", "ends where a guardian refused")
    for code in sorted(policy.emergency):
        yield _member("purposes", ("emergency", code), purpose(code), passes, holds, 1)
    yield Fact(
        "purposes",
        ("override",),
        Words("紧急查阅所用的目的", "The purpose of emergency access"),
        purpose(policy.emergency_override),
    )


def _relationships(policy: PolicySet) -> Iterator[Fact]:
    unset = Words("未规定", "not set")
    for kind, life in policy.lives.items():
        what = RELATIONSHIPS[kind]

        def about(zh: str, en: str, what: Words = what) -> Words:
            return Words(f"{what.zh}：{zh}", f"{what.en}: {en}")

        yield Fact(
            "relationships",
            (kind, "before"),
            about("提前生效", "begins before its date by"),
            span(life.before),
            life.before,
        )
        yield Fact(
            "relationships",
            (kind, "after"),
            about("结束后仍有效", "goes on after its end for"),
            unset if life.after is None else span(life.after),
            life.after or 0,
        )
        yield Fact(
            "relationships",
            (kind, "life"),
            about("自开始起有效", "lasts from its beginning for"),
            unset if life.life is None else span(life.life),
            float("inf") if life.life is None else life.life,
        )
        yield Fact(
            "relationships",
            (kind, "personal"),
            about("只对本人有效，不及于同机构其他人", "holds for that person only"),
            YES if life.personal else NO,
            -int(life.personal),
        )


def _ages(policy: PolicySet) -> Iterator[Fact]:
    ages = (
        (
            "self",
            Words("可自行查阅本人记录的年龄", "The age from which a person sees their own record"),
            policy.self_access_age,
            -1,
        ),
        (
            "guardian",
            Words(
                "监护人不再看到未成年人私密类别的年龄",
                "The age from which a guardian no longer sees a minor's private categories",
            ),
            policy.guardian_limited_age,
            1,
        ),
        (
            "adult",
            Words("监护人权限终止的年龄", "The age at which a guardian's rights end"),
            policy.adult_age,
            1,
        ),
    )
    for key, subject, age, direction in ages:
        yield Fact("ages", (key,), subject, Words(f"{age} 岁", str(age)), direction * age)
    yield Fact(
        "ages",
        ("court",),
        Words("法院指定的监护须复核的期限", "A court's guardian is reviewed within"),
        span(policy.court_review),
        policy.court_review,
    )
    hidden, shown = (
        Words("监护人看不到", "hidden from guardians"),
        Words("监护人看得到", "shown to guardians"),
    )
    for key, codes, who in (
        ("child", policy.child_withheld, Words("儿童", "a child's")),
        ("minor", policy.minor_withheld, Words("未成年人", "a minor's")),
    ):
        for code in sorted(codes):
            what = label(code)
            subject = Words(f"{who.zh}的{what.zh}", f"In {who.en} record, {what.en}")
            yield _member("ages", (key, code), subject, hidden, shown, -1)
    days = policy.treatment_after_death
    yield Fact(
        "ages",
        ("death",),
        Words("患者去世后仍可为诊疗查阅", "After a death treatment may still look for"),
        span(days * DAY),
        days,
    )


def _emergency(policy: PolicySet) -> Iterator[Fact]:
    spans = (
        ("life", Words("每次紧急查阅持续", "An emergency access lasts"), policy.emergency_life),
        ("notice", Words("告知患者的时限", "The patient is told within"), policy.emergency_notice),
        ("review", Words("复核的时限", "It is reviewed within"), policy.emergency_review),
    )
    for key, subject, length in spans:
        yield Fact("emergency", (key,), subject, span(length), length)
    many, least = policy.emergency_per_day, policy.emergency_reason_length
    yield Fact(
        "emergency",
        ("per-day",),
        Words("每人每天的次数", "Times a person may in a day"),
        Words(f"{many} 次", str(many)),
        many,
    )
    yield Fact(
        "emergency",
        ("reason",),
        Words("理由至少", "The reason has at least"),
        Words(f"{least} 个字", f"{least} characters"),
        -least,
    )
    yield Fact(
        "emergency",
        ("refusal",),
        Words("患者对紧急查阅的拒绝", "A patient's refusal of emergency access"),
        Words("有效", "holds")
        if policy.honour_emergency_refusal
        else Words("无效", "does not hold"),
        -int(policy.honour_emergency_refusal),
    )
    may, not_ = Words("可以", "may"), Words("不可以", "may not")
    for action in sorted(policy.emergency_actions):
        does = ACTIONS[action]
        subject = Words(f"紧急查阅时{does.zh}", f"In an emergency access, {does.en}")
        yield _member("emergency", ("action", action), subject, may, not_, 1)


def _statutes(policy: PolicySet) -> Iterator[Fact]:
    gets, not_ = Words("按规定得到", "is told"), Words("不得到", "is not told")
    there, gone = Words("有此项", "stands"), Words("无此项", "does not stand")
    met: dict[tuple[str, str], int] = {}
    for statute in policy.statutory:
        number = met[statute.basis, statute.purpose] = (
            met.get((statute.basis, statute.purpose), 0) + 1
        )
        key = (statute.basis, statute.purpose, str(number))
        title = _title(statute)
        yield _member("statutes", key, title, there, gone, 1)
        for body in sorted(statute.bodies):
            subject = Words(f"{title.zh}：机构 {body}", f"{title.en}: the body {body}")
            yield _member("statutes", (*key, "body", body), subject, gets, not_, 1)
        if statute.notifiable:
            subject = Words(f"{title.zh}：应报告的病例", f"{title.en}: notifiable cases")
            yield _member("statutes", (*key, "notifiable"), subject, gets, not_, 1)
        for code in sorted(statute.codes):
            subject = Words(f"{title.zh}：代码 {code}", f"{title.en}: the code {code}")
            yield _member("statutes", (*key, "code", code), subject, gets, not_, 1)


def _title(statute: Statute) -> Words:
    of = purpose(statute.purpose)
    return Words(f"《{statute.basis}》（{of.zh}）", f"{statute.basis}, {of.en}")


def _duties(policy: PolicySet) -> Iterator[Fact]:
    stands, free = Words("须遵守", "is owed"), Words("不要求", "is not asked")
    for kind, when, obligations in (
        ("always", Words("任何共享", "Whatever is shared"), policy.always_obligations),
        (
            "restricted",
            Words("受专门保护的记录", "Protected records"),
            policy.restricted_obligations,
        ),
        ("emergency", Words("紧急查阅", "Emergency access"), policy.emergency_obligations),
        *(
            (f"purpose {code}", purpose(code), owed)
            for code, owed in sorted(policy.purpose_obligations.items())
        ),
        *(
            (f"label {code}", label(code), owed)
            for code, owed in sorted(policy.label_obligations.items())
        ),
    ):
        for one in dict.fromkeys(obligations):
            what = OBLIGATIONS.get(one, Words(one.value, one.value))
            subject = Words(f"{when.zh}：{what.zh}", f"{when.en}: {what.en}")
            yield _member("duties", (kind, one.value), subject, stands, free, -1)


def _general(policy: PolicySet) -> Iterator[Fact]:
    reaches = (
        Words("在全县各机构间有效", "reach across institutions"),
        Words("只在该机构内有效", "hold in that organization only"),
    )
    for one in sorted(policy.controllers):
        subject = Words(f"在机构 {one} 登记的同意", f"Consents recorded for {one}")
        yield _member("general", ("controller", one), subject, *reaches, 0)
    yield Fact(
        "general",
        ("skew",),
        Words("同意书日期可超前于本系统时钟", "A consent may be dated ahead of our clock by"),
        span(policy.clock_skew),
    )
    yield Fact(
        "general",
        ("notice",),
        Words("“可能有信息未显示”的提示", "The note that something may be withheld"),
        Words("每页都有", "stands on every page")
        if policy.notice == "always"
        else Words("从不出现", "never stands"),
    )
