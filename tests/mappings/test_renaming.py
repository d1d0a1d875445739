"""A view with the hospital's own column names reads like the base's, and says its own names."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import pytest

from mappings.engine import lint, load

OWN = {
    "BRID": "病人 ID", "XM": "姓名", "XB": "性别", "CSRQ": "出生日期", "SFZH": "身份证号",
    "BGDH": "报告单号", "BBLX": "标本", "XMDM": "项目编码", "XMMC": "项目名称", "JG": "结果值",
    "DW": "单位", "CKFW": "参考值", "TS": "提示", "CYSJ": "采样时间", "BGSJ": "报告时间",
    "ZT": "状态", "GXSJ": "更新时间",
}  # fmt: skip
MAP = """
[map]
id = "second.view"
version = "1"
base = "base/lab_rows@1"

[source]
org = "second"
charset = "gb18030"
timezone = "Asia/Shanghai"
{more}
"""


def ids(space: str, type: str, key: Sequence[str]) -> str:
    return blake2b(repr((space, type, tuple(key))).encode(), digest_size=16).hexdigest()


def site(folder: Path, more: str) -> Path:
    (folder / "view.toml").write_text(MAP.format(more=more), "utf-8")
    return folder


def rename(names: dict[str, str]) -> str:
    return "rename = { " + ", ".join(f'{k} = "{v}"' for k, v in names.items()) + " }"


HEADING = ",".join(OWN)
ROW = 'S1,赵一,女,1976-05-20,,R1,血清,A01,谷丙转氨酶,31.0,U/L,9-50,,2026-03-02 07:30:00,2026-03-02 09:30:00,{},2026-03-02 09:31:00'  # fmt: skip


def delivery(heading: str, state: str = "2") -> bytes:
    return f"{heading}\n{ROW.format(state)}\n".encode("gb18030")


def test_own_names_give_the_same_resources_as_the_names_of_the_base(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "base").mkdir()
    own = load(site(tmp_path / "own", rename(OWN)))
    base = load(site(tmp_path / "base", ""))

    one = own.read(delivery(",".join(OWN.values())), ids).messages[0]
    other = base.read(delivery(HEADING), ids).messages[0]

    texts = [r.text() for r in one.resources if r.type != "Provenance"]
    assert texts == [r.text() for r in other.resources if r.type != "Provenance"]
    assert len(texts) >= 4


def test_an_issue_names_the_hospitals_own_column(tmp_path: Path) -> None:
    own = load(site(tmp_path, rename(OWN)))

    told = own.read(delivery(",".join(OWN.values()), "已打印"), ids).messages[0].issues

    assert {issue.place for issue in told if issue.severity in {"hold", "drop"}} == {"row 2 状态"}
    assert [issue.place for issue in told if issue.code == "unmapped-code"] == ["row 2 项目编码"]


def test_a_rule_of_the_overlay_uses_the_own_name(tmp_path: Path) -> None:
    rules = rename({"TS": "提示"}) + '\n\n[Observation]\n"interpretation" = "提示 | arrows(flags)"'
    assert lint(site(tmp_path, rules)) == []


def test_what_is_not_renamed_stays(tmp_path: Path) -> None:
    own = load(site(tmp_path, rename({"XMDM": "项目编码"})))
    heading = HEADING.replace("XMDM", "项目编码")
    assert own.read(delivery(heading), ids).messages[0].resources


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('rename = { XMDN = "项目编码" }', "基础映射没有列 XMDN；它的列是 BRID, XM,"),
        ("rename = { XMDM = 7 }", "rename 只用于 rows"),
        ('rename = "XMDM"', "rename 只用于 rows"),
        ('columns = "BRID,XM"', "[source] columns 里没有列 GXSJ；本院叫别的名字就写进 rename"),
    ],
)
def test_a_wrong_or_missing_name_is_told_at_its_line(tmp_path: Path, more: str, says: str) -> None:
    found = lint(site(tmp_path, more))
    assert any(says in one.text() for one in found)
    if "rename" in more:
        assert [(one.file, one.line) for one in found] == [("view.toml", 11)]


def test_only_rows_are_renamed(tmp_path: Path) -> None:
    text = MAP.format(more='rename = { PID = "XX" }').replace("lab_rows@1", "oru_r01")
    (tmp_path / "oru.toml").write_text(text, "utf-8")
    assert any("rename 只用于 rows" in one.zh for one in lint(tmp_path))
