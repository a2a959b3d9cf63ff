import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django_application = get_asgi_application()  # sets Django up, which the next import needs

from webapp.api.limits import BodyLimit  # noqa: E402

application = BodyLimit(django_application)
