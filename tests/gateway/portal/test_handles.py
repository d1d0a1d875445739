"""Handles in addresses mean something in one session only."""

from __future__ import annotations

import secrets

from hypothesis import given
from hypothesis import strategies as st

from gateway.portal.handles import handle, id_of

ids = st.binary(min_size=16, max_size=16).map(bytes.hex)


@given(ids, st.text(min_size=1))
def test_a_handle_leads_back_to_its_record_in_its_session(id: str, csrf: str) -> None:
    assert id_of(csrf, handle(csrf, id)) == id


@given(ids)
def test_a_handle_of_another_session_leads_nowhere(id: str) -> None:
    mine, theirs = secrets.token_urlsafe(), secrets.token_urlsafe()

    assert id_of(theirs, handle(mine, id)) != id
    assert handle(mine, id) != handle(theirs, id)


@given(st.text())
def test_whatever_stands_in_an_address_is_an_id_nobody_has(text: str) -> None:
    assert len(id_of("csrf", text)) == 32
