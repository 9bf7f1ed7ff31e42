from django.apps import AppConfig


class ControlConfig(AppConfig):
    name = "shop.control"
    label = "control"
