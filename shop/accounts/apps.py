from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "shop.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Make the schema's description of tokens known."""
        import shop.accounts.extensions  # noqa: F401
