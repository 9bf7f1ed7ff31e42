"""Admin pages of categories and products. Products can't be deleted, because stock and orders refer to their SKU."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from relay.admin import ask_reason
from shop.audit.admin import Audited
from shop.catalogue.models import Category, Product
from shop.catalogue.money import format_money


@admin.register(Category)
class CategoryAdmin(Audited):
    list_display = ["name", "slug"]
    search_fields = ["name"]
    prepopulated_fields = {"slug": ["name"]}


@admin.register(Product)
class ProductAdmin(Audited):
    list_display = ["thumbnail", "name", "sku", "category", "formatted_price", "is_active"]
    list_display_links = ["thumbnail", "name"]
    list_filter = ["category", "is_active"]
    list_select_related = ["category"]
    search_fields = ["name", "sku", "description"]
    autocomplete_fields = ["category"]
    fields = [
        *("sku", "name", "category", "description", "price", "currency", "most_per_customer", "picture"),
        *("is_active", "created_at"),
    ]
    actions = ["take_off_sale", "put_on_sale"]

    def get_readonly_fields(self, request: HttpRequest, obj: Product | None = None) -> list[str]:
        return ["currency", "created_at", *(["sku"] if obj else [])]

    def has_delete_permission(self, request: HttpRequest, obj: Product | None = None) -> bool:
        return False

    @admin.display(description="")
    def thumbnail(self, product: Product) -> SafeString | str:
        if not product.picture:
            return ""
        return format_html('<img src="{}" width="40" height="40" alt="">', static(product.picture))

    @admin.display(description="price", ordering="price")
    def formatted_price(self, product: Product) -> str:
        return format_money(product.price, product.currency)

    @admin.action(description="Take off sale", permissions=["change"])
    def take_off_sale(self, request: HttpRequest, products: QuerySet[Product]) -> TemplateResponse | None:
        return self._switch(request, products, "take off sale", False)

    @admin.action(description="Put on sale", permissions=["change"])
    def put_on_sale(self, request: HttpRequest, products: QuerySet[Product]) -> TemplateResponse | None:
        return self._switch(request, products, "put on sale", True)

    def _switch(
        self, request: HttpRequest, products: QuerySet[Product], action: str, is_active: bool
    ) -> TemplateResponse | None:
        """Show the page that requires a reason, or apply the change if the request contains a reason."""
        reason = request.POST.get("reason", "").strip()
        if not reason:
            return ask_reason(self, request, products, f"{action.capitalize()}: give the reason")
        count = self.change_rows(request, products, action, reason[:200], is_active=is_active)
        self.message_user(request, f"{action.capitalize()}: {count}.")
        return None
