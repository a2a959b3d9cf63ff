# Two images from one file: `--target web` has no torch, `--target worker` has it.
FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 HONE_ENV=production HONE_HOME=/var/lib/hone
RUN useradd --system --create-home --home-dir /var/lib/hone hone && install -d -o hone -g hone /var/lib/hone/artifacts
WORKDIR /srv/hone
COPY pyproject.toml constraints.txt README.md LICENSE manage.py ./
COPY webapp webapp
COPY workers workers
COPY gpu_jobs gpu_jobs
COPY hone hone
COPY templates templates
COPY static static

FROM base AS web
RUN pip install -c constraints.txt -e '.[web]'
ENV HONE_STATIC_ROOT=/srv/hone/staticfiles
# Settings want every secret in production; collecting files uses none of these.
RUN HONE_SECRET_KEY=unused DATABASE_URL=postgresql://unused REDIS_URL=redis://unused HONE_ALLOWED_HOSTS=unused \
    python manage.py collectstatic --noinput
USER hone
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz')"]
CMD ["uvicorn", "webapp.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "off", "--no-access-log", \
     "--workers", "2", "--timeout-graceful-shutdown", "5", "--forwarded-allow-ips", "*"]

FROM base AS worker
RUN pip install torch==2.13.0 && pip install -c constraints.txt -e '.[jobs,web]'
USER hone
CMD ["hone", "worker"]
