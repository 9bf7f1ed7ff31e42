"""Description of tokens in the API's schema."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class BearerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Bearer tokens of HTTP."""

    target_class = "shop.accounts.sessions.BearerToken"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the OpenAPI description of the scheme."""
        return {"type": "http", "scheme": "bearer", "description": "The `token` of a log-in."}
