"""Pages for residents, clinicians, registration desks, privacy officers, auditors, IT offices, the commission."""

from __future__ import annotations

from gateway.portal.door import routes

__all__ = ["routes"]
