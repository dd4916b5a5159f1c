# SPDX-License-Identifier: BSD-3-Clause
"""Django's own server, with the parent that reloads it."""
import sys

import work
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import path

settings.configure(DEBUG=True, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="lab", LOGGING_CONFIG=None)


def view(request):
    return HttpResponse(work.answer(), content_type="application/json")


urlpatterns = [path("", view)]

if __name__ == "__main__":
    execute_from_command_line([sys.argv[0], "runserver", "127.0.0.1:8000"])
