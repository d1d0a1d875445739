"""The sentences of the issues: one code, one sentence in Chinese and one in English, no values ever."""

from __future__ import annotations

from mappings.engine import fhirwording, xmlwording

SENTENCES: dict[str, tuple[str, str]] = {
    # the delivery
    "empty": ("收到的内容是空的", "nothing was received"),
    "not-hl7": (
        "内容不是 HL7 v2 消息（没有以 MSH 开头的段）",
        "this is not an HL7 v2 message (no segment begins with MSH)",
    ),
    "bad-delimiters": (
        "MSH 段没有声明可用的分隔符",
        "the MSH segment declares no usable delimiters",
    ),
    "charset-broken": (
        "字节不符合为该来源登记的字符集，请核对来源设置",
        "the bytes do not fit the character set registered for this source; check the source setting",
    ),
    "charset-suspicious-utf8": (
        "来源登记为 GB18030，但内容看来是 UTF-8，请核对",
        "the source is registered as GB18030 but the bytes look like UTF-8; check it",
    ),
    "charset-suspicious-gb": (
        "来源登记为 UTF-8，但内容看来是 GB18030，请核对",
        "the source is registered as UTF-8 but the bytes look like GB18030; check it",
    ),
    "charset-mojibake": (
        "文字已在发送方损坏（锟斤拷、替换符）",
        "text was already damaged by the sender (replacement characters)",
    ),
    "charset-private-use": (
        "文字含有自造字（私用区），显示可能不同",
        "the text holds private-use characters; they may be shown differently",
    ),
    "too-many-bytes": ("内容超过该来源允许的大小", "larger than allowed for this source"),
    "too-many-messages": ("一次发送的消息太多", "too many messages in one delivery"),
    "too-many-segments": ("消息的段太多", "too many segments in the message"),
    "too-many-fields": ("段的字段太多", "too many fields in the segment"),
    "too-many-repetitions": ("字段的重复太多", "too many repetitions in the field"),
    "batch-short": (
        "批次实际消息数与批尾声明不符",
        "the batch does not hold the number of messages its trailer declares",
    ),
    "text-before-message": (
        "第一个 MSH 之前的内容没有读取",
        "text in front of the first MSH was not read",
    ),
    "no-map": ("这种消息没有对应的映射", "this kind of message has no map"),
    "no-kind": ("MSH-9 没有写消息类型", "MSH-9 does not say what kind of message this is"),
    "no-control-id": ("MSH-10 没有消息控制号", "MSH-10 holds no control id"),
    "attachment-broken": (
        "附件不是合格的 Base64，没有保存，原始消息已保留",
        "the document is not valid base64; it was not stored, the message is kept",
    ),
    "attachment-too-large": (
        "附件超过该来源允许的大小，没有保存，原始消息已保留",
        "the document is larger than this source may send; it was not stored, the message is kept",
    ),
    "attachment-type": (
        "附件内容与声明的类型不符，按内容标注类型",
        "the document is not of the type it is declared as; its content decides",
    ),
    "orphan": (
        "这个段没有所属的上级段，没有读取",
        "this segment has no parent segment and was not read",
    ),
    "segment-order": (
        "这个段的位置不合规定，已按到达顺序读取",
        "this segment stands out of its place; it was read in order of arrival",
    ),
    "merge-unknown-number": (
        "合并消息没有写本机构登记过类型的患者号，没有合并",
        "the merge names no patient number of a declared type; nothing was merged",
    ),
    "merge-destroyed-chart": (
        "合并涉及的档案已销毁，没有合并",
        "a chart named by the merge was destroyed; nothing was merged",
    ),
    "merge-was-parted": (
        "这两个患者号曾由人工拆分，没有自动合并，请核对",
        "somebody has parted these two numbers before; they were not merged, please look",
    ),
    "merge-two-persons": (
        "要合并的两份档案身份证号不同，没有合并，请核对",
        "the two charts carry different resident IDs; they were not merged, please look",
    ),
    "snapshot-missing": (
        "新报告比旧报告少了项目，旧结果仍然有效，请与检验科核对是否作废",
        "a newer version of the report holds fewer items; the results still stand, ask the laboratory whether they are withdrawn",
    ),
    "snapshot-withdrawn": (
        "新报告少了的项目，经人工核对已作废",
        "a person has looked: the items the newer report no longer holds were withdrawn",
    ),
    "snapshot-kept": (
        "新报告少了的项目，经人工核对仍然有效",
        "a person has looked: the items the newer report no longer holds still stand",
    ),
    "merge-same-number": (
        "合并的两个患者号相同，没有合并",
        "the merge names the same patient number twice; nothing was merged",
    ),
    "no-patient": ("没有患者段", "there is no patient segment"),
    "second-patient": (
        "一条消息里有多位患者，已分开处理",
        "one message names several patients; each is handled apart",
    ),
    "unknown-escape": (
        "转义序列无法识别，按原文保留",
        "an escape sequence is unknown and was kept as written",
    ),
    # identity
    "no-local-id": (
        "没有本机构登记过的患者号，资源无法归档",
        "no patient number of a declared kind; nothing can be filed",
    ),
    "undeclared-id-type": (
        "患者号的类型没有在来源设置 ids 中登记，未采用",
        "the type of this patient number is not declared in the source's ids; it was not used",
    ),
    "resident-id-check": (
        "身份证号校验未通过，保留但不用于关联",
        "the resident ID fails its check digit; kept, not used for linking",
    ),
    "resident-id-placeholder": (
        "身份证号是占位号码，未采用",
        "the resident ID is a placeholder and was refused",
    ),
    "resident-id-form": (
        "身份证号格式不对，未采用",
        "the resident ID has no valid form and was refused",
    ),
    "resident-id-15": (
        "15 位旧身份证号，只作次要标识",
        "a 15-digit legacy resident ID; secondary only",
    ),
    "resident-id-birthdate": (
        "身份证号中的出生日期与登记的不一致",
        "the birth date in the resident ID differs from the registered one",
    ),
    "resident-id-gender": (
        "身份证号中的性别与登记的不一致",
        "the sex in the resident ID differs from the registered one",
    ),
    "newborn-mothers-number": (
        "疑似新生儿登记在母亲号码下，该号码不用于关联",
        "probably a newborn under the mother's number; the number is not used for linking",
    ),
    "id-placeholder": ("号码是占位值，未采用", "the number is a placeholder and was refused"),
    # rules
    "must-missing": (
        "必需的内容缺失或无法识别，该资源暂存待处理；请在本院映射里给这条规则补另一来源（A ?? B），或在码表里补上这个值",
        "a required value is missing or not understood; the resource waits: in your map give this rule"
        " another source (A ?? B), or its table the value",
    ),
    "key-missing": (
        "业务主键缺失，该资源暂存待处理",
        "a part of the business key is missing; the resource waits",
    ),
    "key-collision": (
        "同一消息内两个资源主键相同而内容不同，已加序号区分",
        "two resources of this message share a key but differ; an ordinal was added",
    ),
    "reference-held": (
        "引用的资源已暂存，该引用省略",
        "the referenced resource is held; the reference was left out",
    ),
    "clock-missing": ("没有可用的业务时间", "there is no business time"),
    "rule-failed": ("规则执行出错，该元素省略", "the rule failed; the element was left out"),
    "nothing-mapped": ("该段没有可用的内容", "nothing in here could be mapped"),
    # codes
    "unmapped-code": ("代码没有对照，按原文保留", "the code has no mapping and was kept as sent"),
    "unmapped-unit": ("单位没有对照，按原文保留", "the unit has no mapping and was kept as sent"),
    "unknown-code": ("代码不在对照表中", "the code is not in the table"),
    "strange-gender": ("性别代码不规范", "the sex code is irregular"),
    "wrong-patient": (
        "发送方声明结果属于错误的患者，请立即核对",
        "the sender declares the result belongs to the wrong patient; check at once",
    ),
    # values
    "not-a-number": ("不是数字，按文字保留", "not a number; kept as text"),
    "ambiguous-number": (
        "数字中的逗号含义不明，按文字保留",
        "the comma in the number is ambiguous; kept as text",
    ),
    "ambiguous-dash": (
        "“-” 可能是阴性也可能是未做，该结果暂存",
        "'-' may mean negative or not done; the result waits",
    ),
    "text-value": ("结果按文字保留", "the result was kept as text"),
    "repeated-value": (
        "同一项目有多个结果值，全部保留",
        "one item has several values; all were kept",
    ),
    "flag-disagrees": (
        "结果中的箭头与异常标志不一致",
        "the arrow in the result disagrees with the abnormal flag",
    ),
    "range-text-only": ("参考区间只能按文字保留", "the reference range was kept as text only"),
    "unit-rejoined": (
        "单位中的 ^ 没有转义，已重新拼接",
        "the caret in the unit was not escaped; it was joined again",
    ),
    # times
    "bad-time": ("时间格式不对，已省略", "not a valid time; left out"),
    "placeholder-time": ("时间是占位值，已省略", "the time is a placeholder; left out"),
    "future-time": (
        "时间晚于消息时间一天以上，已省略",
        "the time is more than a day after the message; left out",
    ),
    "old-time": (
        "年代久远，时区无法确定，只保留日期",
        "too old to know the offset; kept as a date",
    ),
    "seconds-filled": (
        "时间只到分钟，秒补零",
        "the time has minutes only; seconds are zero-filled",
    ),
    # DICOM
    "not-dicom": (
        "既不是 DICOM 文件（Part 10），也不是 DICOM JSON",
        "neither a DICOM file (Part 10) nor DICOM JSON",
    ),
    "dicom-broken": ("DICOM 文件头无法读取", "the DICOM header cannot be read"),
    "dicom-truncated": (
        "DICOM 文件在文件头内就中断了",
        "the DICOM file ends within its header",
    ),
    "dicom-transfer-syntax": (
        "不接受压缩的（deflated）数据集，请用其他传输语法发送",
        "a deflated data set is not taken in; send it in another transfer syntax",
    ),
    "dicom-no-study": ("没有检查实例号（StudyInstanceUID）", "there is no Study Instance UID"),
    "dicom-no-evidence": (
        "关键对象文档没有列出任何检查",
        "the key object selection lists no study",
    ),
    "dicom-rejection": (
        "该文档声明影像作废；请人工处理，没有自动撤回",
        "the document withdraws images; handle it by hand, nothing was taken back",
    ),
    "dicom-two-patients": (
        "同一检查实例号出现在两位患者名下，请立即核对",
        "one Study Instance UID stands under two patients; check at once",
    ),
    "dicom-charset": (
        "文字与声明的字符集不符，已按来源登记的字符集读取",
        "texts are not in the character set the object declares; read by the source's",
    ),
    "dicom-charset-broken": (
        "有文字不符合任何已知字符集，已省略",
        "a text fits no known character set; it was left out",
    ),
    "dicom-uid-form": ("UID 格式不对", "the UID has no valid form"),
    "dicom-modality-missing": (
        "序列没有检查类型（Modality），该序列省略",
        "the series has no modality; it was left out",
    ),
    "laterality-missing": (
        "成对部位没有注明左右",
        "a paired body part without a side",
    ),
    # filing (raised by whoever files what was mapped)
    "other-chart": (
        "该资源已归在另一位患者名下，没有归档，请立即核对",
        "this resource already stands in another patient's chart; it was not filed, check at once",
    ),
    "no-right": (
        "县使用权矩阵未授权该来源在此存储这类数据，整条消息留在隔离区，恢复授权后可重新读取",
        "the county's matrix of rights does not let this source store such data here; the message is"
        " held and can be read again once the right is there",
    ),
    "register-only": (
        "机构、人员和地点由登记册维护，没有归档",
        "organisations, practitioners and locations are kept in the register; it was not filed",
    ),
    "organization-unknown": (
        "所指的机构不在县域机构登记册中，不能据此认定诊疗关系",
        "the organisation that is named is not in the county's register; it gets no treatment relationship",
    ),
    "contract-not-theirs": (
        "签约只能由基层医疗机构自己或县级平台上报，不能据此认定诊疗关系",
        "only primary care itself, or the county for it, tells of contracts; it gives no treatment relationship",
    ),
    "older-than-stored": (
        "已有更新的版本，没有改动",
        "a newer version is stored already; nothing was changed",
    ),
    "incomplete-copy": (
        "这是删减过的副本，不能当作原件存入，暂存待处理",
        "this is a copy from which parts were left out; it is not stored as the original, and waits",
    ),
    "withdrawn-stays": (
        "已作废或取消的内容不能恢复，没有改动",
        "what was withdrawn or cancelled stays so; nothing was changed",
    ),
    "same-clock-other-content": (
        "业务时间相同而内容不同，采用后到的内容",
        "same business time but other content; the later arrival was taken",
    ),
    "status-goes-back": (
        "已完成的结果不能退回未完成状态，暂存待处理",
        "a finished result cannot become unfinished again; it waits",
    ),
    "possible-same-person": (
        "可能与另一份档案是同一个人，请人工核对",
        "possibly the same person as in another chart; somebody should compare them",
    ),
    "number-corrected": (
        "身份证号已更正，这份档案改归新号码本人，原来的关联已断开",
        "the resident ID was corrected; the folder belongs to the new number, old links are parted",
    ),
    "gateway-fault": (
        "网关处理出错，原文已保留，请联系网关运维后重放",
        "this gateway failed on it; the message is kept, tell the operators and replay it",
    ),
    "control-id-reused": (
        "同一控制号出现了不同内容，两份都已保留",
        "the same control id came with other content; both are kept",
    ),
}


def sentence(code: str, language: str) -> str:
    """The sentence for a code; a code without one is shown as it is."""
    pair = SENTENCES.get(code) or fhirwording.SENTENCES.get(code) or xmlwording.SENTENCES.get(code)
    if pair is None:
        return code
    return pair[0] if language == "zh" else pair[1]
