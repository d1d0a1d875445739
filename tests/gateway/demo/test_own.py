"""The pretend county's resident with an account: opened once, acting for a child."""

from __future__ import annotations

import pytest

from gateway.auth import people
from gateway.demo import own, story
from gateway.demo.run import REGISTRAR
from gateway.exchange import mandates
from gateway.records.instant import moment
from gateway.services import Services


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_a_mother_signs_in_and_acts_for_a_child_however_often_it_is_built(
    services: Services,
) -> None:
    county = story.county(moment(services.now(), services.settings.zone).date())
    child = own.child_of(county)
    for _ in range(2):
        await own.open_accounts(services, county, REGISTRAR)
    admitted = await people.sign_in(services, login=own.LOGIN, password=story.PASSWORD)
    assert admitted.portal.caller.purpose == "PATRQT"
    assert admitted.portal.caller.name == story.RESIDENT.name
    [held] = await mandates.of_actor(own.LOGIN, services)
    assert (held.person, held.state) == (child.name, "running")
