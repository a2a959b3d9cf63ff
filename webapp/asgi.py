import gc
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django_application = get_asgi_application()  # sets Django up, which the next imports need

from webapp.api.intake import Intake  # noqa: E402
from webapp.api.limits import BodyLimit  # noqa: E402
from webapp.handler import OneThread, StaticAside  # noqa: E402

application = BodyLimit(Intake(StaticAside(django_application, OneThread())))

gc.collect()
gc.freeze()  # what has been imported stays: each look through it would hold up every request for a tenth of a second
