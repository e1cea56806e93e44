"""A shop: structured results, resource links, embedded resources, pictures. Speaks both eras."""

import struct
import zlib

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp_types import EmbeddedResource, ResourceLink, TextContent, TextResourceContents, ToolAnnotations
from pydantic import BaseModel
from starlette.types import ASGIApp


class Product(BaseModel):
    """One thing on sale."""

    sku: str
    name: str
    price: float
    colour: str


class Receipt(BaseModel):
    """What an order came to."""

    order: int
    sku: str
    quantity: int
    total: float


PRODUCTS = {
    product.sku: product
    for product in (
        Product(sku="mug-1", name="Mug", price=8.5, colour="#2a6f97"),
        Product(sku="lamp-1", name="Desk lamp", price=39.0, colour="#e9c46a"),
        Product(sku="chair-1", name="Chair", price=120.0, colour="#6a994e"),
    )
}

server = MCPServer(
    "shop",
    title="Shop",
    description="Three products, orders that cost nothing.",
    version="1.0",
    log_level="ERROR",
)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def find_products(text: str = "", max_price: float = 1e6) -> list[Product]:
    """Products whose name holds a text and that cost no more than a price."""
    return [p for p in PRODUCTS.values() if text.lower() in p.name.lower() and p.price <= max_price]


@server.tool()
def order(sku: str, quantity: int = 1) -> Receipt:
    """Order a product."""
    product = known(sku)
    if not 1 <= quantity <= 100:  # noqa: PLR2004 - the sentence says it
        raise ToolError("Order between 1 and 100.")
    return Receipt(order=1000 + quantity, sku=sku, quantity=quantity, total=product.price * quantity)


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def refund_order(order: int) -> str:
    """Pay an order back. The example configuration hides this tool."""
    return f"Order {order} was refunded."


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def manual(sku: str) -> list[TextContent | ResourceLink | EmbeddedResource]:
    """How to use a product: its page as a link, its manual embedded."""
    product = known(sku)
    return [
        TextContent(text=f"{product.name}: the manual, and a link to its page."),
        ResourceLink(uri=page_of(sku), name=sku, title=product.name, mime_type="text/plain"),
        EmbeddedResource(
            resource=TextResourceContents(
                uri=f"shop://manuals/{sku}", mime_type="text/plain", text=f"Put the {product.name.lower()} down. Done."
            )
        ),
    ]


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def picture(sku: str) -> Image:
    """A picture of a product, seen from very near."""
    return Image(data=png_of(known(sku).colour), format="png")


@server.resource("shop://products/{sku}", title="A product's page", mime_type="text/plain")
def page(sku: str) -> str:
    """A product's page."""
    if sku not in PRODUCTS:
        raise ResourceNotFoundError(f"There is no product {sku}.")
    return f"{PRODUCTS[sku].name}, {PRODUCTS[sku].price:.2f}"


@server.resource("shop://terms", title="Terms", mime_type="text/plain")
def terms() -> str:
    """The terms of sale."""
    return "Everything is free and nothing is delivered."


def known(sku: str) -> Product:
    if sku not in PRODUCTS:
        raise ToolError(f"There is no product {sku}. Try find_products.")
    return PRODUCTS[sku]


def page_of(sku: str) -> str:
    return f"shop://products/{sku}"


def png_of(colour: str, side: int = 16) -> bytes:
    """A square of one colour (W3C PNG: signature, IHDR, IDAT, IEND)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + bytes.fromhex(colour.removeprefix("#")) * side
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * side)) + chunk(b"IEND", b"")
    )


def app() -> ASGIApp:
    return server.streamable_http_app()
