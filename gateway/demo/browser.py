"""A browser of a few lines: pages, forms with what they hold, cookies; no JavaScript, as promised."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx


@dataclass(slots=True)
class Form:
    """A form with the values it would send as it stands."""

    action: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Page:
    """A page as a person reads it: its words, its forms, its links."""

    status: int
    path: str
    html: str
    text: str
    forms: list[Form]
    links: list[tuple[str, str]]  # (address, words)

    def says(self, *words: str) -> bool:
        """Do all of these stand on the page?"""
        return all(word in self.text for word in words)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self.by_id: dict[str, Form] = {}
        self.links: list[tuple[str, str]] = []
        self.words: list[str] = []
        self._form: Form | None = None
        self._select: tuple[Form, str] | None = None
        self._area: tuple[Form, str] | None = None
        self._link: list[str] | None = None
        self._late: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(given.get("action", ""))
            self.forms.append(self._form)
            if "id" in given:
                self.by_id[given["id"]] = self._form
        elif tag == "a" and "href" in given:
            self._link = []
            self.links.append((given["href"], ""))
        elif tag == "input" and given.get("name"):
            self._input(given)
        elif tag == "select" and self._form is not None and given.get("name"):
            self._select = (self._form, given["name"])
        elif tag == "option" and self._select is not None:
            form, name = self._select
            if "selected" in given or name not in form.fields:
                form.fields[name] = [given.get("value", "")]
        elif tag == "textarea" and self._form is not None:
            self._area = (self._form, given.get("name", ""))
            self._form.fields[self._area[1]] = [""]

    def _input(self, given: dict[str, str]) -> None:
        kind = given.get("type", "text")
        if "form" in given and kind in {"checkbox", "radio", "hidden"}:
            self._late.append((given["form"], given["name"], given.get("value", "")))
            return
        if self._form is None or kind == "submit":
            return
        if kind == "file":
            self._form.files.add(given["name"])
        elif kind not in {"checkbox", "radio"} or "checked" in given:
            self._form.fields.setdefault(given["name"], []).append(given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._area = None
        elif tag == "a" and self._link is not None:
            self.links[-1] = (self.links[-1][0], "".join(self._link).strip())
            self._link = None

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._link is not None:
            self._link.append(data)
        if self._area is not None:
            form, name = self._area
            form.fields[name][0] += data

    def settled(self) -> None:
        """Give the ticks that stand outside their form to it."""
        for id, name, value in self._late:
            if id in self.by_id:
                self.by_id[id].fields.setdefault(name, []).append(value)


class Browser:
    """One person at one browser."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._http = httpx.AsyncClient(
            base_url=base,
            follow_redirects=True,
            timeout=20,
            headers={"origin": base, "sec-fetch-site": "same-origin"},
        )

    async def go(self, path: str) -> Page:
        """Open an address."""
        return _page(await self._http.get(path))

    async def fetch(self, path: str) -> tuple[str, bytes]:
        """What stands at an address that is no page: its media type, its bytes."""
        answer = await self._http.get(path)
        return answer.headers.get("content-type", ""), answer.content

    async def submit(
        self,
        page: Page,
        action: str,
        fields: dict[str, str | list[str]] | None = None,
        files: dict[str, tuple[str, bytes, str]] | None = None,
        holding: str = "",
    ) -> Page:
        """Send the first form whose address ends with `action` (and that holds the text `holding`
        among its values), with `fields` typed over what stands in it; AssertionError without one."""
        form = next(
            (
                one
                for one in page.forms
                if one.action.endswith(action)
                and (not holding or any(holding in values for values in one.fields.values()))
            ),
            None,
        )
        if form is None:
            raise AssertionError(f"no form {action} on {page.path} ({page.status})")
        values: dict[str, str | list[str]] = dict(form.fields)
        values |= fields or {}
        if files or form.files:
            response = await self._http.post(
                form.action,
                data=values,
                files=files or {},
            )
        else:
            response = await self._http.post(form.action, data=values)
        return _page(response)

    async def close(self) -> None:
        """Close the browser."""
        await self._http.aclose()


def _page(response: httpx.Response) -> Page:
    reader = _Reader()
    reader.feed(response.text)
    reader.settled()
    return Page(
        response.status_code,
        response.url.path,
        response.text,
        " ".join(" ".join(reader.words).split()),
        reader.forms,
        reader.links,
    )
