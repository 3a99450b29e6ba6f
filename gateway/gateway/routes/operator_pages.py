"""Pages for operators, to be read in any browser: no script, no cookie, nothing from elsewhere.

Whoever wants to read one signs in on it. The session ends before the page is sent, so that none is left behind in the
browser; to look again is to sign in again.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, render_template

from gateway import inputs
from gateway.audit import audited
from gateway.identities import digest_of
from gateway.problems import STATUS_OF
from gateway.reconciling import what_to_do
from gateway.web import Blueprint, ask, become, begin_session, end_session, open_to_all
from kernel.errors import Kind, Refusal

routes = Blueprint(
    "Operator pages", __name__, url_prefix="/admin", template_folder="../templates",
    description="For operators, in a browser; every look is logged.",
)  # fmt: skip

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}
code{font-family:ui-monospace,monospace;font-size:.9em;overflow-wrap:anywhere}h2{margin-top:2rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}caption{text-align:left;font-weight:600}
th,td{text-align:left;padding:.25rem .5rem;border-bottom:1px solid #ccc;vertical-align:top}
td:first-child code{white-space:nowrap}.n{text-align:right}
.well{color:#14622e}.broken{color:#a4161a}label{display:block;margin:.75rem 0 .25rem}
input,button{font:inherit;padding:.4rem .6rem}button{margin-top:1rem}
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}th,td{border-color:#444}
.well{color:#7bd88f}.broken{color:#ff8a8a}}
""".strip()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
#: What is said on the page, to be tried again; anything else is a problem as everywhere.
_ON_THE_PAGE = (Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.TOO_MANY)
#: Runs on the page; the API has the others.
_SHOWN = 20
#: After which one should have ended: they run every five minutes, or every hour where there are many orders.
_LATE = timedelta(hours=2)


@routes.route("/reconciliation", methods=["GET"])
@open_to_all
@routes.response(200, {"type": "string"}, content_type="text/html")
def show_sign_in() -> Response:
    """A page for staff: what the reconciliations of the whole store have found, after signing in on it."""
    return _page(200)


@routes.route("/reconciliation", methods=["POST"])
@open_to_all
@routes.response(200, {"type": "string"}, content_type="text/html")
@routes.alt_response(401, schema={"type": "string"}, content_type="text/html", description="The form again, with why")
@routes.alt_response(403, schema={"type": "string"}, content_type="text/html", description="The same")
@routes.alt_response(429, schema={"type": "string"}, content_type="text/html", description="The same")
@routes.arguments(inputs.NewSession(), location="form")
def show_reconciliations(body: dict[str, Any]) -> Response:
    """The page itself, for whoever has signed in with the form."""
    try:
        token, _ = begin_session(**body)
        digest = digest_of(token)
        become(digest)
        try:
            return look_at_reconciliations()
        finally:
            end_session(digest)
    except Refusal as refusal:
        if refusal.kind not in _ON_THE_PAGE:
            raise
        return _page(STATUS_OF[refusal.kind], refused=refusal.detail)


@audited
def look_at_reconciliations() -> Response:
    """As staff: what they have found."""
    items = ask("credits", "list_reconciliations", {"limit": _SHOWN})["items"]
    runs = [{**item, "took_s": _seconds(item)} for item in items]
    late = bool(runs) and datetime.now(UTC) - datetime.fromisoformat(runs[0]["ended_at"]) > _LATE
    broken = [{**each, "advice": what_to_do(each["rule"])} for each in (runs[0]["breaks"] if runs else ())]
    return _page(200, runs=runs, late=late, broken=broken)


def _seconds(item: dict[str, Any]) -> float:
    took = datetime.fromisoformat(item["ended_at"]) - datetime.fromisoformat(item["began_at"])
    return round(took.total_seconds(), 1)


def _page(status: int, **shown: Any) -> Response:
    text = render_template("reconciliation.html", style=_STYLE, **shown)
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
    return Response(text, status, headers, mimetype="text/html")
