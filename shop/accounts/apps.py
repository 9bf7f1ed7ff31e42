from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "shop.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Register the description of tokens for the API's schema."""
        import shop.accounts.extensions  # noqa: F401
