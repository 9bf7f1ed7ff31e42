"""Products in the REST API: search, category filter, cursor pagination and conditional requests."""

from typing import Any

from django.contrib.staticfiles.storage import staticfiles_storage
from django.db.models import QuerySet
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework import generics, serializers
from rest_framework.permissions import AllowAny

from shop.catalogue.models import Category, Product
from shop.web.paging import MAX_PAGE_SIZE, CursorPages
from shop.web.problems import Problem

_IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The `ETag` of an earlier response. The status is 304, without a body, if the response is unchanged.",
)
_UNCHANGED = OpenApiResponse(description="The client's copy is up to date.")
_EXAMPLE = OpenApiExample(
    "A cup",
    {
        "sku": "MUG-KUKSA",
        "name": "Kuksa Carved Cup",
        "description": "Carved from one piece of birch.",
        "category": {"slug": "kitchen", "name": "Kitchen"},
        "price": 3900,
        "currency": "EUR",
        "picture": "https://shop.example/static/catalogue/pictures/MUG-KUKSA.svg",
    },
    response_only=True,
)


class CategoryAnswer(serializers.ModelSerializer[Category]):
    class Meta:
        model = Category
        fields = ["slug", "name"]


class ProductAnswer(serializers.ModelSerializer[Product]):
    category = CategoryAnswer()
    price = serializers.IntegerField(help_text="In minor units of the currency.")
    picture = serializers.SerializerMethodField(help_text="The absolute URL of the picture, or null without a picture.")

    class Meta:
        model = Product
        fields = [
            "sku",
            "name",
            "description",
            "category",
            "price",
            "currency",
            "picture",
        ]

    def get_picture(self, product: Product) -> str | None:
        if not product.picture:
            return None
        address: str = self.context["request"].build_absolute_uri(staticfiles_storage.url(product.picture))
        return address


class ProductQuery(serializers.Serializer[Any]):
    """Query parameters of the list."""

    search = serializers.CharField(required=False, allow_blank=True, max_length=100)
    category = serializers.SlugField(required=False, allow_blank=True)
    page_size = serializers.IntegerField(required=False, min_value=1, max_value=MAX_PAGE_SIZE)

    def validate_category(self, slug: str) -> str:
        if slug and not Category.objects.filter(slug=slug).exists():
            raise serializers.ValidationError(f"There is no category {slug}.")
        return slug


class ProductPages(CursorPages):
    """Pages of products, ordered by name."""

    ordering = ("name", "sku")


@extend_schema_view(
    get=extend_schema(
        operation_id="list_products",
        summary="List products",
        parameters=[
            OpenApiParameter("search", OpenApiTypes.STR, description="Words or beginnings of words."),
            OpenApiParameter("category", OpenApiTypes.STR, description="A category's slug."),
            _IF_NONE_MATCH,
        ],
        examples=[_EXAMPLE],
        responses={
            200: ProductAnswer(many=True),
            304: _UNCHANGED,
            400: OpenApiResponse(Problem, "A parameter is invalid."),
        },
    )
)
@method_decorator([cache_control(public=True, no_cache=True), conditional_page], name="dispatch")
class ProductList(generics.ListAPIView[Product]):
    """List products, ordered by name."""

    permission_classes = [AllowAny]
    serializer_class = ProductAnswer
    pagination_class = ProductPages

    def get_queryset(self) -> QuerySet[Product]:
        query = ProductQuery(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        products = Product.objects.on_sale()
        if search := query.validated_data.get("search"):
            products = products.matching(search)
        if category := query.validated_data.get("category"):
            products = products.filter(category__slug=category)
        return products


@extend_schema_view(
    get=extend_schema(
        operation_id="get_product",
        summary="Read a product",
        parameters=[_IF_NONE_MATCH],
        examples=[_EXAMPLE],
        responses={
            200: ProductAnswer,
            304: _UNCHANGED,
            404: OpenApiResponse(Problem, "There is no such product."),
        },
    )
)
@method_decorator([cache_control(public=True, no_cache=True), conditional_page], name="dispatch")
class ProductDetail(generics.RetrieveAPIView[Product]):
    """Show one product."""

    permission_classes = [AllowAny]
    queryset = Product.objects.on_sale()
    serializer_class = ProductAnswer
    lookup_field = "sku"
