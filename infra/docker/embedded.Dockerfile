# The embedded Supabase with a worker, for development. Build it from the project's root:
# docker build --file infra/docker/embedded.Dockerfile .
ARG BASE=debian:trixie-slim@sha256:a29215f6a35e51e22adffa17f89e9d2ef06214e64a2bad10d765c46aea49f11f
FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home soundscape \
    && install --directory --owner soundscape --mode 700 /data
COPY lock/local.txt infra/docker/install /build/lock/
RUN python3 -m venv /opt/soundscape \
    && /build/lock/install /opt/soundscape/bin/python /build/lock/local.txt
COPY pyproject.toml README.md LICENSE NOTICE /build/
COPY soundscape /build/soundscape
COPY embedded_supabase /build/embedded_supabase
COPY supabase /build/supabase
RUN /opt/soundscape/bin/pip install --no-cache-dir --no-deps --no-build-isolation /build
ENV PATH=/opt/soundscape/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1
# Postgres starts as no other user than an ordinary one.
USER 10001:10001
WORKDIR /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=6 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/api/health/ready', timeout=4)"]
ENTRYPOINT ["soundscape"]
CMD ["dev", "--data-dir", "/data/project"]
