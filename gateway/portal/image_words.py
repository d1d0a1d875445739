"""What imaging is called on the pages: modalities, quality facts, windows, and why there is no image."""

from __future__ import annotations

from typing import NamedTuple

from gateway.portal.words import N_, Mark

MODALITIES = {
    "CT": N_("CT"),
    "MR": N_("磁共振"),
    "DX": N_("数字 X 线"),
    "CR": N_("计算机 X 线"),
    "US": N_("超声"),
    "XA": N_("血管造影"),
    "MG": N_("乳腺 X 线"),
    "NM": N_("核医学"),
    "PT": N_("PET"),
    "ECG": N_("心电"),
    "ES": N_("内镜"),
}

IMAGES = {
    "reachable": Mark("●", N_("影像可调阅"), "good"),
    "unreachable": Mark("✕", N_("影像无法调阅"), "bad"),
    "unknown": Mark("○", N_("尚未核实影像能否调阅"), "quiet"),
}

TROUBLE = {
    "unregistered": N_(
        "出具医院没有在本系统登记影像库，影像无法调阅。请告知信息科补充登记。以下为记录中登记的序列。"
    ),
    "absent": N_("出具医院的影像库中没有这次检查的影像。以下为记录中登记的序列。"),
    "other": N_("影像库中的检查与本记录的检查号不符，为防止张冠李戴，不予显示。请联系出具医院。"),
    "unanswered": N_("出具医院的影像库现在没有应答，请稍后再试。以下为记录中登记的序列。"),
}

QUALITY = {
    "sliceThickness": N_("层厚"),
    "spacingBetweenSlices": N_("层间距"),
    "detectorRows": N_("探测器排数"),
    "kvp": N_("管电压"),
    "fieldStrength": N_("场强"),
    "viewPosition": N_("体位"),
    "scanningSequence": N_("扫描序列"),
    "contrastAgent": N_("对比剂"),
    "manufacturer": N_("设备厂家"),
    "model": N_("设备型号"),
    "lossyCompression": N_("有损压缩"),
    "burnedInAnnotation": N_("图上有标注"),
}


class Window(NamedTuple):
    """A window for computed tomography: what it is for, and "centre,width" in Hounsfield units."""

    name: str
    window: str


WINDOWS = {
    "lung": Window(N_("肺窗"), "-600,1500"),
    "soft": Window(N_("软组织窗"), "40,400"),
    "bone": Window(N_("骨窗"), "400,1800"),
    "brain": Window(N_("脑窗"), "40,80"),
}
