"""The Celery app. A message is a ticket ("there is work on queue Q"): it carries nothing, so a lost one is no loss."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

app = Celery("hone", include=["workers.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    result_expires=None,
    task_default_queue="queue:default",
    task_acks_late=False,
    worker_consumer="workers.consumer:Consumer",
    worker_disable_prefetch=True,  # a busy worker leaves tickets to idle ones
    worker_prefetch_multiplier=1,
    worker_enable_prefetch_count_reduction=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_send_task_events=False,
    broker_connection_max_retries=None,
    broker_connection_retry_on_startup=True,
    broker_channel_error_retry=True,
    broker_transport_options={"socket_keepalive": True, "socket_connect_timeout": 5, "health_check_interval": 10},
)
