from django.apps import AppConfig


class ActivityConfig(AppConfig):
    name = "shop.activity"
    label = "activity"
