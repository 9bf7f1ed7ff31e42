from django.apps import AppConfig


class DelaysConfig(AppConfig):
    name = "shop.delays"
    label = "delays"
