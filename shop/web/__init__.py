"""Code that the pages and the REST API of all apps share."""
