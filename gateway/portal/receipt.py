"""A page of our own as a file to keep: PDF with its fonts inside, fetched from nowhere."""

from __future__ import annotations

from pathlib import Path

STYLE = Path(__file__).with_name("receipt.css")


def pdf(html: str) -> bytes:
    """The page as PDF/UA (ISO 14289-1); whatever it would fetch is left out, unasked for."""
    from weasyprint import CSS, HTML  # slow to load, and wanted seldom
    from weasyprint.urls import URLFetcher

    nowhere = URLFetcher(allowed_protocols=(), allow_redirects=False)
    style = CSS(string=STYLE.read_text("utf-8"), url_fetcher=nowhere)
    page = HTML(string=html, url_fetcher=nowhere)
    content: bytes = page.write_pdf(pdf_variant="pdf/ua-1", stylesheets=[style])
    return content
