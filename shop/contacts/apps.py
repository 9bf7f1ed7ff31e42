from django.apps import AppConfig


class ContactsConfig(AppConfig):
    name = "shop.contacts"
    label = "contacts"
