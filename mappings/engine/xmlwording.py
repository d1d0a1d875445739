"""The sentences of the issues that only XML and envelopes raise; see wording.py."""

from __future__ import annotations

_DEFECTS: dict[str, tuple[str, str]] = {
    "encoding-gb18030": (
        "声明是 UTF-8，字节其实是 GB18030",
        "declared UTF-8, the bytes are GB18030",
    ),
    "encoding-utf8": (
        "声明是 GB 字符集，字节看来是 UTF-8",
        "declared a GB set, the bytes look like UTF-8",
    ),
    "control-characters": ("含有 XML 不允许的控制字符", "holds control characters XML forbids"),
    "nested-declaration": (
        "XML 声明出现在文档中间",
        "an XML declaration stands inside the document",
    ),
    "html-entities": ("用了 HTML 的实体（如 &nbsp;）", "uses entities of HTML (such as &nbsp;)"),
    "bare-ampersand": ("文字里的 & 没有转义", "an ampersand in the text is not escaped"),
    "bare-less-than": ("文字里的 < 没有转义", "a less-than sign in the text is not escaped"),
    "undeclared-prefix": (
        "用了没有声明的命名空间前缀",
        "uses a namespace prefix it does not declare",
    ),
    "namespace-digit": (
        "CDA 命名空间写错（数字 1 代替字母 l）",
        "the CDA namespace is misspelt (a digit for a letter)",
    ),
    "namespace-missing": ("ClinicalDocument 没有命名空间", "ClinicalDocument has no namespace"),
    "element-case": ("元素名大小写不对", "an element name has the wrong case"),
    "oid-missing-2": ("OID 开头缺少 2.", "an OID lacks its leading 2."),
    "oid-letter": ("OID 里数字写成了字母（l、O）", "an OID holds a letter for a digit (l, O)"),
    "determiner-code": (
        "属性 determinerCode 拼写错误",
        "the attribute determinerCode is misspelt",
    ),
    "item-name-as-code": (
        "项目代码的位置填了项目名称",
        "the name of the item stands where its code belongs",
    ),
    "foreign-elements": ("entry 里有 CDA 没有的元素", "an entry holds elements CDA does not know"),
    "two-visit-numbers": (
        "门诊号和住院号填了同一个值",
        "outpatient and inpatient number hold the same value",
    ),
}


def _defect_sentences() -> dict[str, tuple[str, str]]:
    """For each defect: as repaired, and as met without its repair being declared."""
    told: dict[str, tuple[str, str]] = {}
    for name, (zh, en) in _DEFECTS.items():
        told[f"repair-{name}"] = (
            f"{zh}，已按来源设置的修正读取",
            f"{en}; read with the repair declared for this source",
        )
        told[f"defect-{name}"] = (
            f'{zh}；确认来源一贯如此后，在 [source] repair 里加上 "{name}"',
            f'{en}; if this source always does so, add "{name}" to [source] repair',
        )
    return told


SENTENCES: dict[str, tuple[str, str]] = {
    "xml-broken": ("XML 格式不完整，无法读取", "this is not well-formed XML"),
    "xml-doctype": (
        "不接受带 DOCTYPE（实体定义）的 XML",
        "XML with a DOCTYPE (entity definitions) is not accepted",
    ),
    "xml-encoding-unknown": ("XML 声明的字符集不认识", "the declared encoding is not known"),
    "xml-too-deep": ("XML 嵌套太深", "the XML is nested too deep"),
    "xml-too-many-elements": (
        "XML 的元素或属性太多",
        "the XML has too many elements or attributes",
    ),
    "xml-attribute-too-long": ("XML 的属性值太长", "an attribute of the XML is too long"),
    "unstructured-body": (
        "文档正文是附件，没有可读取的条目",
        "the body of the document is an attachment; it holds no entries to read",
    ),
    "envelope-not-found": (
        "信封里没有找到声明的这一层，请核对 [source] envelope",
        "this layer of the envelope is not there; check [source] envelope",
    ),
    "envelope-base64": ("信封里的内容不是有效的 base64", "the wrapped content is not valid base64"),
    "envelope-gzip": ("信封里的压缩内容损坏", "the wrapped content is not valid gzip"),
    **_defect_sentences(),
}
