"""The products of the REST API: search, category filter, cursor pagination."""

from typing import Any

from django.contrib.staticfiles.storage import staticfiles_storage
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework import generics, serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from shop.catalogue.models import Category, Product
from shop.problems import Problem

MAX_PAGE_SIZE = 100


class CategoryAnswer(serializers.ModelSerializer[Category]):
    class Meta:
        model = Category
        fields = ["slug", "name"]


class ProductAnswer(serializers.ModelSerializer[Product]):
    category = CategoryAnswer()
    price = serializers.IntegerField(help_text="In minor units of the currency.")
    picture = serializers.SerializerMethodField(help_text="The picture's whole address; null without one.")

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
    """What may be asked of the list."""

    search = serializers.CharField(required=False, allow_blank=True, max_length=100)
    category = serializers.SlugField(required=False, allow_blank=True)
    page_size = serializers.IntegerField(required=False, min_value=1, max_value=MAX_PAGE_SIZE)

    def validate_category(self, slug: str) -> str:
        if slug and not Category.objects.filter(slug=slug).exists():
            raise serializers.ValidationError(f"There is no category {slug}.")
        return slug


class ProductCursor(CursorPagination):
    """Pages in the order of names; a page stays in place while products come and go."""

    page_size = 20
    max_page_size = MAX_PAGE_SIZE
    page_size_query_param = "page_size"
    ordering = ("name", "sku")

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Read `?cursor=`.

        :raises ValidationError: it was not made by this API.
        """
        try:
            cursor = super().decode_cursor(request)
        except NotFound as error:
            raise ValidationError({"cursor": ["This is not a cursor of this list."]}) from error
        if cursor and "\0" in str(cursor.position):
            raise ValidationError({"cursor": ["This is not a cursor of this list."]})
        return cursor


@extend_schema_view(
    get=extend_schema(
        operation_id="list_products",
        parameters=[
            OpenApiParameter("search", OpenApiTypes.STR, description="Words, or beginnings of words."),
            OpenApiParameter("category", OpenApiTypes.STR, description="A category's slug."),
        ],
        responses={
            200: ProductAnswer(many=True),
            400: OpenApiResponse(Problem, "A parameter is wrong."),
        },
    )
)
class ProductList(generics.ListAPIView[Product]):
    """List products, ordered by name."""

    permission_classes = [AllowAny]
    serializer_class = ProductAnswer
    pagination_class = ProductCursor

    def get_queryset(self) -> QuerySet[Product]:
        query = ProductQuery(data=self.request.query_params)
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
        responses={
            200: ProductAnswer,
            404: OpenApiResponse(Problem, "There is no such product."),
        },
    )
)
class ProductDetail(generics.RetrieveAPIView[Product]):
    """Show one product."""

    permission_classes = [AllowAny]
    queryset = Product.objects.on_sale()
    serializer_class = ProductAnswer
    lookup_field = "sku"
