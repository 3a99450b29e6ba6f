"""The pages of the mailbox: a list, each mail, and the same as JSON for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, redirect, render_template, url_for

from punchcard.mailbox.folder import MailFolder

# No script runs here, whatever a mail holds; the HTML of a mail is in a sandboxed frame besides.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(folder: Path) -> Flask:
    """The mailbox as a WSGI application: ``/dev/mail``, ``/dev/mail/<id>`` and ``/dev/mail.json``.

    Args:
        folder: where the ``.eml`` files are; need not exist yet.
    """
    app = Flask(__name__, static_folder=None)
    mail_folder = MailFolder(folder)

    @app.get("/")
    def start() -> Any:
        return redirect(url_for("show_list"))

    @app.get("/dev/mail")
    def show_list() -> str:
        return render_template("list.html", mails=mail_folder.mails())

    @app.get("/dev/mail.json")
    def list_as_json() -> dict[str, Any]:
        return {"items": [mail.as_dict() for mail in mail_folder.mails()]}

    @app.get("/dev/mail/<mail_id>")
    def show_mail(mail_id: str) -> str:
        mail = mail_folder.mail(mail_id)
        if mail is None:
            abort(404)
        return render_template("mail.html", mail=mail)

    @app.errorhandler(404)
    def show_missing(_error: Exception) -> tuple[str, int]:
        return render_template("missing.html"), 404

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response

    return app
