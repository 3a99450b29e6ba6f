"""The OpenAPI document, and a page to read it that needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, current_app, render_template
from flask_smorest import current_api

from gateway.jsontext import write_json
from gateway.web import Blueprint, open_to_all

routes = Blueprint("Documentation", __name__, template_folder="../templates", description="This document.")

_METHODS = ("get", "post", "put", "patch", "delete")
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}h2{margin-top:2.5rem}h3{margin-bottom:.25rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}th,td{text-align:left;padding:.25rem .5rem;
border-bottom:1px solid #ccc;vertical-align:top}nav a{margin-right:1rem}a{color:#0645ad}
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}a{color:#8ab4f8}th,td{border-color:#444}}
""".strip()
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table of fields."""

    name: str
    type: str
    needed: bool
    about: str


@routes.route("/openapi.json", methods=["GET"])
@open_to_all
@routes.response(200, {"type": "object"})
def openapi() -> Response:
    """This API as OpenAPI 3.1."""
    return Response(_once("openapi", lambda: write_json(current_api.spec.to_dict())), mimetype="application/json")


@routes.route("/docs", methods=["GET"])
@open_to_all
@routes.response(200, {"type": "string"}, content_type="text/html")
def docs() -> Response:
    """This API as a page for people."""
    policy = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"
    return Response(_once("docs", _page), mimetype="text/html", headers={"Content-Security-Policy": policy})


def _once(name: str, write: Callable[[], str]) -> str:
    """What was written at the first request; it cannot change while the process runs."""
    kept: dict[str, str] = current_app.extensions.setdefault("punchcard.reading", {})
    if name not in kept:
        kept[name] = write()
    return kept[name]


def _page() -> str:
    document = current_api.spec.to_dict()
    return render_template(
        "docs.html", document=document, style=_STYLE, groups=_groups(document),
        schemas={name: list(_rows(schema)) for name, schema in document["components"]["schemas"].items()},
    )  # fmt: skip


def _groups(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                shown = _shown(item[method], item.get("parameters", []))
                groups[item[method]["tags"][0]].append({"method": method.upper(), "path": path, **shown})
    return groups


def _shown(operation: Mapping[str, Any], of_path: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "summary": operation.get("summary", ""),
        "open": operation.get("security") == [],
        "parameters": [_parameter(each) for each in [*of_path, *operation.get("parameters", [])]],
        "body": _content(operation.get("requestBody", {})),
        "answers": {
            status: (found.get("description", ""), _content(found))
            for status, found in operation["responses"].items()
            if "$ref" not in found
        },
    }


def _parameter(found: Mapping[str, Any]) -> Row:
    kind = f"{found['in']}, {_type(found['schema'])}"
    return Row(found["name"], kind, found.get("required", False), found.get("description", ""))


def _content(holder: Mapping[str, Any]) -> str:
    for media in holder.get("content", {}).values():
        return _name(media.get("schema", {}))
    return ""


def _rows(schema: Mapping[str, Any]) -> Iterator[Row]:
    needed = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        yield Row(name, _type(field), name in needed, field.get("description", ""))


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _type(field: Mapping[str, Any]) -> str:
    """A field's type in a few words: ``list of Line``, ``string or null``, ``one of: card, wire``."""
    if "$ref" in field:
        return _name(field)
    for joined in ("anyOf", "oneOf", "allOf"):
        if joined in field:
            return " or ".join(_type(each) for each in field[joined])
    if "enum" in field:
        return "one of: " + ", ".join("null" if value is None else str(value) for value in field["enum"])
    kind = field.get("type", "anything")
    if kind == "array":
        return f"list of {_type(field.get('items', {}))}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
