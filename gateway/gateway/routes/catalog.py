"""What is sold, for everybody to see."""

from __future__ import annotations

from typing import Any

from flask import Response

from gateway import inputs, outputs
from gateway.web import Blueprint, answer, ask, open_to_all, page

routes = Blueprint("Catalog", __name__, url_prefix="/v1", description="What is sold. No sign-in needed.")


@routes.route("/categories", methods=["GET"])
@open_to_all
@routes.response(200, outputs.page_of(outputs.Category))
def list_categories() -> Response:
    """The categories, as a flat list of a two-level tree."""
    return answer({"next": None, **ask("catalog", "list_categories")})


@routes.route("/products", methods=["GET"])
@open_to_all
@routes.response(200, outputs.page_of(outputs.Product))
@routes.arguments(inputs.ProductQuery(), location="query")
def list_products(query: dict[str, Any]) -> Response:
    """The products, of one category or all."""
    return page(ask("catalog", "list_products", query), query)


@routes.route("/products/<id:sku>", methods=["GET"])
@open_to_all
@routes.response(200, outputs.Product)
def get_product(sku: str) -> Response:
    """One product."""
    return answer(ask("catalog", "get_product", {"sku": sku}))


@routes.route("/terms", methods=["GET"])
@open_to_all
@routes.response(200, outputs.Terms)
def get_terms() -> Response:
    """The terms and conditions of the moment; send their version as `accept_terms`."""
    return answer(ask("catalog", "get_terms"))
