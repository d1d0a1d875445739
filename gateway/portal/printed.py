"""Paper: pages of the portal noted as they are printed, and documents of our own as PDF files."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.portal import words
from gateway.portal.desk import ROOT, Adder, Desk
from gateway.portal.languages import TAGS
from gateway.portal.stories import Resident

STYLE = Path(__file__).with_name("printed.css")
_HANDLE = re.compile(r"/[0-9a-f]{16,}")


def pdf(html: str) -> bytes:
    """The page as PDF/UA-1 (ISO 14289-1), fonts inside; whatever it would fetch is left out."""
    from weasyprint import CSS, HTML  # slow to load, and wanted seldom
    from weasyprint.urls import URLFetcher

    nowhere = URLFetcher(allowed_protocols=(), allow_redirects=False)
    style = CSS(string=STYLE.read_text("utf-8"), url_fetcher=nowhere)
    page = HTML(string=html, url_fetcher=nowhere)
    content: bytes = page.write_pdf(pdf_variant="pdf/ua-1", stylesheets=[style])
    return content


async def document(
    desk: Desk,
    template: str,
    name: str,
    source: str,
    subject: str = "",
    *,
    chart: str = "",
    **context: Any,
) -> Response:
    """A document to keep, from a template that extends `printed.html`.

    Every page of it tells `subject` (whom it is about, as the reader may see it), who printed it
    when, `source` (where the content comes from; empty: from here) and page x of y. Noted before a
    byte leaves, as printed of `chart`, or of the one in hand; Problem REFUSED during emergency
    access. `name` is the file's: no patient's name or number.
    """
    memory = desk.who.memory
    title = template.removesuffix(".html")
    await desk.portal.stories.printed(
        "document",
        title,
        chart or _chart(memory.get("chart")),
        bool(memory.get("grant")),
        desk.who.caller,
    )
    filled = desk.portal.pages[desk.language].get_template(template)
    told = {
        "me": desk.who.caller,
        "session": desk.session,
        "language": desk.language,
        "tag": TAGS.get(desk.language, desk.language),
        "printed": desk.portal.now(),
        "contact": desk.portal.contact,
        "subject": subject,
        "source": source,
        "words": words,
    }
    content = await asyncio.to_thread(pdf, filled.render(told | context))
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/pdf", headers=headers)


def whom(desk: Desk, resident: Resident) -> str:
    """The resident as the head of every sheet names them: the number stays masked."""
    parts = desk.portal.pages[desk.language].get_template("parts.html")
    line = parts.make_module({"words": words, "me": desk.who.caller, "session": desk.session})
    return str(line.person_line(resident))  # type: ignore[attr-defined]


def pages(get: Adder, post: Adder) -> list[BaseRoute]:
    """The address that notes a browser's own printing."""
    return [post("/printed", note)]


async def note(desk: Desk) -> Response:
    """A page is about to be printed; without 204 the browser's button prints nothing."""
    title = _HANDLE.sub("/…", desk.text("path", 200).removeprefix(ROOT))
    memory = desk.who.memory
    await desk.portal.stories.printed(
        "page", title, _chart(memory.get("chart")), bool(memory.get("grant")), desk.who.caller
    )
    return Response(status_code=204)


def _chart(kept: Any) -> str:
    return kept if isinstance(kept, str) else ""
