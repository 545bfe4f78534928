"""The second pair of eyes: whoever opened a request cannot approve its plan.

Names are recorded as they are given; who may act under which name is a matter of the machine's accounts.
"""

from __future__ import annotations

import msgspec

from compliance.dsr import events
from compliance.dsr.intake import check_staff, same_person
from compliance.dsr.requests import Act, Request, load, now, save, working_on
from pxl_audit.directory import DataDirectory
from pxl_audit.errors import UsageError


def approve(directory: DataDirectory, request_id: str, *, digest: str, by: str) -> Request:
    """Record that `by` agrees to exactly the plan with this digest."""
    with working_on(directory):
        request = load(directory, request_id)
        if request.state == "approved" and request.plan is not None and request.plan.digest == digest:
            return request
        if request.state != "planned" or request.plan is None:
            raise UsageError(f"{request.id} is {request.state}; only a planned request can be approved (dsr plan)")
        if request.plan.digest != digest:
            raise UsageError(f"--plan: not the current plan of {request.id}; look at it again: dsr plan {request.id}")
        check_staff(by, request.identifiers())
        if same_person(by, request.opened.by or ""):
            raise UsageError(f"--as: {request.id} was opened under the same name; somebody else has to approve it")
        index = events.record(directory, events.APPROVED, {"request": request.id, "plan": digest}, by=by)
        return save(directory, msgspec.structs.replace(request, state="approved", approved=Act(now(), by, index)))
