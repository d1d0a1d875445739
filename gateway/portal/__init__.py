"""Pages for clinicians, registration desks, auditors and IT offices."""

from __future__ import annotations

from gateway.portal.door import routes

__all__ = ["routes"]
